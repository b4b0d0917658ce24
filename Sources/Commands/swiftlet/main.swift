import ArgumentParser

Swiftlet.main()
