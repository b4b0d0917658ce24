import Testing

@testable import Cluster

@Suite(.serialized) struct ScheduleTests {
    /// Hosts that come, go, crash, lose their disks and are cut off, over a network that loses, doubles and reorders: only
    /// owners change rows, versions never go back, and once it is quiet all have the same.
    @Test func tablesConvergeWhateverHappens() {
        let first = seed(for: "tablesConvergeWhateverHappens")
        let count = runsLong ? 10_000 : 30
        var bodies = 0
        for number in 0..<UInt64(count) {
            let (breach, sent) = Simulator.schedule(first &+ number)
            bodies += sent
            if let breach {
                Issue.record("SWIFTLET_SEED=\(first &+ number): \(breach)")
                return
            }
        }
        print("\(count) schedules, \(bodies) bodies: no invariant broken")
    }
}
