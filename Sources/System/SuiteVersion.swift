internal import CLinux

/// The suite's version, for example "0.1.0": semantic versioning without a leading "v".
public let suiteVersion = SWIFTLET_VERSION
