public import System

/// The locks of what the containers of a host share.
public protocol HostLocks {
    /// Takes the lock that guards a shared object ("bridge-br0"), waiting for it.
    func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock
}

/// A lock while it is held; it is given back when the object goes away.
public protocol HeldLock: AnyObject {
    /// Changes the mode without waiting; false, and nothing changed for the holder, when somebody else is in.
    func tryChange(to mode: FileLock.Mode) -> Bool
    /// Changes the mode, waiting. Others may have had the lock in between.
    func change(to mode: FileLock.Mode) throws
}
