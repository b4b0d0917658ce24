internal import NIOCore
internal import NIOHTTP1

/// Writes the parts of an answer.
struct HTTPConnection: Sendable {
    let channel: any Channel
    let version: HTTPVersion
    let answerTime: TimeAmount

    /// Begins an answer.
    func begin(status: Int, type: String, length: Int? = nil) {
        var headers: HTTPHeaders = ["Content-Type": type, "Connection": "close"]
        if let length { headers.add(name: "Content-Length", value: String(length)) }
        let head = HTTPResponseHead(version: version, status: .init(statusCode: status), headers: headers)
        channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil)
    }

    /// Sends a whole answer and closes; a client that does not read it is waited for no longer than is decent.
    func send(_ response: ControlResponse) {
        let channel = channel
        begin(status: response.status, type: response.type, length: response.body.utf8.count)
        channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: response.body))), promise: nil)
        let limit = channel.eventLoop.scheduleTask(in: answerTime) { channel.close(promise: nil) }
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
            limit.cancel()
            channel.close(promise: nil)
        }
    }

    /// Sends a line of an answer that goes on.
    func send(line: String) {
        // A client that does not read is dropped: events are not kept for it.
        guard channel.isWritable else { return channel.close(promise: nil) }
        channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: line))), promise: nil)
    }
}
