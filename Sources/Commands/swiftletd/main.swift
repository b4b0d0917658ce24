import ArgumentParser

Options.main()
