/// Nanoseconds of a clock that never goes back. Its origin does not matter.
public typealias Nanoseconds = UInt64

extension Nanoseconds {
    /// Whole milliseconds.
    public static func milliseconds(_ count: UInt64) -> Nanoseconds { count * 1_000_000 }
    /// Whole seconds.
    public static func seconds(_ count: UInt64) -> Nanoseconds { count * 1_000_000_000 }
}
