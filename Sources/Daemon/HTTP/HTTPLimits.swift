internal import NIOCore

/// What a client of an ``HTTPServer`` may take.
struct HTTPLimits: Sendable {
    /// The most connections at once; who comes later is told 503.
    var connections = 256
    /// The most bytes of a request's line and fields; more is 431.
    var head = 16 << 10
    /// The most bytes of a request's body; more is 413.
    var body = 1 << 20
    /// How long a request may take to come in; later it is 408.
    var requestTime = TimeAmount.seconds(10)
    /// How long a client may take to read its answer.
    var answerTime = TimeAmount.seconds(30)
}
