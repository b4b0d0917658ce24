/// Nanoseconds of a clock that never goes back. Its origin does not matter.
public typealias Nanoseconds = UInt64

extension Nanoseconds {
    static func milliseconds(_ count: UInt64) -> Nanoseconds { count * 1_000_000 }
    static func seconds(_ count: UInt64) -> Nanoseconds { count * 1_000_000_000 }
}
