internal import CLinux
internal import System

/// Where the build put the executables.
public enum ProductsDirectory {
    /// The directory the running test bundle is in.
    public static let path: String = {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe buffer.withUnsafeMutableBytes { raw in
            guard let start = unsafe raw.bindMemory(to: CChar.self).baseAddress else { return 0 }
            return unsafe readlink("/proc/self/exe", start, raw.count)
        }
        let running = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        let bundle = [running] + CommandLine.arguments
        let found = bundle.first { $0.contains(".xctest") } ?? running
        let directory = found.lastIndex(of: "/").map { String(found[..<$0]) } ?? "."
        return directory
    }()
}

/// What the machine must allow for tests in namespaces.
public enum Namespaces {
    /// Whether labs can be made here; the reason is printed when they cannot.
    public static let areAvailable: Bool = {
        do {
            _ = try Lab(containers: 0)
            return true
        } catch {
            print("Tests in network namespaces are skipped: root and unshare(2) are needed (\(error)).")
            return false
        }
    }()
}
