import JSON
import System
import TestSupport
import Testing

/// A daemon that finds no room on its disk.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct FullDiskTests {
    @Test func startsAndServesWhatNeedsNoWrites() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        one.stop("KILL")
        try one.lab.tool("sh", "-c", "mkdir /run/kept && cp -a /run/state/. /run/kept/")
        try one.lab.tool("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", "/run/state")
        try one.lab.tool("sh", "-c", "cp -a /run/kept/. /run/state/")
        try one.startDaemon()
        // One after the other: what is there is not added again.
        try hosts.eventually("one has an address again") { try one.add("a").succeeded }
        try hosts.eventually("and so has the other") { try two.add("b").succeeded }
        try hosts.eventually("both know both") { try one.endpoints().count == 2 && two.endpoints().count == 2 }
        let before = try one.endpoints()
        one.stop("KILL")
        try one.lab.tool("sh", "-c", "cat /dev/zero > /run/state/filler 2>/dev/null; true")

        try one.startDaemon()
        #expect(
            try one.get("/v1/status")["warnings"]?.elements.contains { $0.string?.contains("make room") == true }
                == true)
        #expect(try one.lab.read(one.log).contains("nothing can be kept"))
        // What is there is kept, and what others do is taken in.
        try hosts.eventually("all endpoints are known here") {
            try one.endpoints() == before
        }
        try hosts.eventually("and there") { try two.endpoints() == before }
        let third = try two.connect("c")
        try hosts.eventually("what comes is known") { try one.endpoints()["\(third)/24"] == "h2 live" }
        // An ADD must be written.
        let refused = try one.add("d")
        #expect(!refused.succeeded)

        try one.lab.tool("rm", "/run/state/filler")
        try hosts.eventually("it works again") { try one.add("e").succeeded }
        try hosts.eventually("the warning is gone") {
            try one.get("/v1/status")["warnings"]?.elements.contains {
                $0.string?.contains("make room") == true
            } == false
        }
        // And what it remembers is what it did.
        one.stop("KILL")
        try one.startDaemon()
        try hosts.eventually("its endpoints are there") { try one.endpoints().count == 4 }
        try hosts.eventually("for all") { try two.endpoints() == one.endpoints() }
    }
}
