/// memberlist's message types: the first byte of a message.
enum MessageType: UInt8 {
    case ping = 0
    case indirectPing = 1
    case ack = 2
    case suspect = 3
    case alive = 4
    case dead = 5
    case pushPull = 6
    case compound = 7
    case user = 8
    case compressed = 9
    case encrypted = 10
    case nack = 11
    case checksummed = 12
    case error = 13
    case label = 244
}

/// serf's message types: the first byte inside a user message.
enum SerfType: UInt8 {
    case leave = 0
    case join = 1
    case pushPull = 2
    case userEvent = 3
    case query = 4
    case queryResponse = 5
    case conflictResponse = 6
    case keyRequest = 7
    case keyResponse = 8
    case relay = 9
}
