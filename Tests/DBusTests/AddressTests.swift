import System
import Testing

@testable import DBus

@Suite("Bus addresses")
struct AddressTests {
    @Test("The system bus is where the environment says, else where everybody looks")
    func system() {
        #expect(BusAddress.system(in: Environment()) == "unix:path=/run/dbus/system_bus_socket")
        #expect(BusAddress.system(in: environment("")) == "unix:path=/run/dbus/system_bus_socket")
        #expect(BusAddress.system(in: environment("unix:path=/x")) == "unix:path=/x")
    }

    @Test(
        "Unix sockets are found in the order given",
        arguments: [
            ("unix:path=/run/dbus/system_bus_socket", [UnixSocketAddress.path("/run/dbus/system_bus_socket")]),
            ("unix:abstract=/tmp/dbus-x,guid=00ff", [.abstract("/tmp/dbus-x")]),
            ("tcp:host=h,port=1;unix:guid=1,path=/a;unix:abstract=b;", [.path("/a"), .abstract("b")]),
            ("unix:path=/a%20b%2c%C3%A9", [.path("/a b,é")]), ("unix:runtime=yes", []), ("", []), ("unix:", []),
            ("unix:path=", []), ("unix:path=/a,abstract=b", []), ("unix:path=/%", []), ("unix:path=/%2", []),
            ("unix:path=/%zz", []), ("unix:path=/%ff", []), ("unix:path", []), ("/run/bus", []), ("UNIX:path=/a", []),
        ])
    func sockets(text: String, expected: [UnixSocketAddress]) {
        #expect(BusAddress.unixSockets(text) == expected)
    }
}
