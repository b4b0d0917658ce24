/// Bytes captured from serf 0.9.4 agents (memberlist 0.2.2), or computed where the name says so.
package struct Vector: Sendable {
    package let name: String
    package let hex: String
    /// What is inside, each in hex.
    package var plain: [String] = []
    package var key: String?

    package var bytes: [UInt8] { fromHex(hex) }
}

package enum MemberlistVectors {
    package static let all: [Vector] =
        [
            Vector(
                name: "leaf alive",
                hex: """
                    0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461b1ff82a4726f6c65a3776562a26463a27831\
                    a44e6f6465a5616c706861a4506f7274cd1f0aa356736ea6010502020505
                    """
            ),
            Vector(
                name: "packet envelope crc/compound",
                hex: """
                    0cf42f41ba0702004e003e0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461b1ff82a4726f6c\
                    65a3776562a26463a27831a44e6f6465a5616c706861a4506f7274cd1f0aa356736ea60105020205050486a441646472\
                    a47f000002ab496e6361726e6174696f6e01a44d657461a2ff80a44e6f6465a462657461a4506f7274cd1f0aa356736e\
                    a6010502020505
                    """,
                plain: [
                    """
                    0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461b1ff82a4726f6c65a3776562a26463a27831\
                    a44e6f6465a5616c706861a4506f7274cd1f0aa356736ea6010502020505
                    """,
                    """
                    0486a441646472a47f000002ab496e6361726e6174696f6e01a44d657461a2ff80a44e6f6465a462657461a4506f7274\
                    cd1f0aa356736ea6010502020505
                    """,
                ]
            ),
            Vector(
                name: "leaf user/join",
                hex: "080182a54c54696d6501a44e6f6465a462657461"
            ),
            Vector(
                name: "packet envelope crc",
                hex: "0caada2b16080182a54c54696d6501a44e6f6465a462657461",
                plain: [
                    "080182a54c54696d6501a44e6f6465a462657461"
                ]
            ),
            Vector(
                name: "leaf ping",
                hex: """
                    0085a44e6f6465a5616c706861a55365714e6f01aa536f7572636541646472a47f000002aa536f757263654e6f6465a4\
                    62657461aa536f75726365506f7274cd1f0a
                    """
            ),
            Vector(
                name: "leaf ackResp",
                hex: """
                    0282a75061796c6f6164da00820184aa41646a7573746d656e74cb0000000000000000a54572726f72cb3ff800000000\
                    0000a6486569676874cb3ee4f8b588e368f1a356656398cb0000000000000000cb0000000000000000cb000000000000\
                    0000cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000a5\
                    5365714e6f01
                    """
            ),
            Vector(
                name: "packet envelope lzw",
                hex: """
                    0982a4416c676f00a3427566da00620005083a05254c1e366fc290d10640500042aa82905153670e9d3665dcd05906a0\
                    a3c78ea58ac891f346ceb21ff83e763485a44c9a336836fa2087af16a27168e28db252660c268e2a3b020d3a5465d18f\
                    473d26151a9469d35253cac471f2264040
                    """,
                plain: [
                    """
                    0282a75061796c6f6164da00820184aa41646a7573746d656e74cb0000000000000000a54572726f72cb3ff800000000\
                    0000a6486569676874cb3ee4f8b588e368f1a356656398cb0000000000000000cb0000000000000000cb000000000000\
                    0000cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000a5\
                    5365714e6f01
                    """
                ]
            ),
            Vector(
                name: "leaf user/queryResponse",
                hex: """
                    080585a5466c61677301a446726f6da5616c706861a24944ce0aeb7a30a54c54696d6501a75061796c6f6164c0
                    """
            ),
            Vector(
                name: "leaf user/query",
                hex: """
                    08048ba441646472a47f000001a746696c74657273c0a5466c61677301a24944ce0aeb7a30a54c54696d6501a44e616d\
                    65a361736ba75061796c6f6164a568656c6c6fa4506f7274cd1f0aab52656c6179466163746f7200aa536f757263654e\
                    6f6465a5616c706861a754696d656f7574ce77359400
                    """
            ),
            Vector(
                name: "leaf user/userEvent",
                hex: """
                    080384a24343c3a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164a6616263313233
                    """
            ),
            Vector(
                name: "packet envelope lzw/compound",
                hex: """
                    0982a4416c676f00a3427566da00d2000f0c002004801d0029001422e5e40d9932a4c494a113a6d49432711a0e5035e5\
                    4d1d3963ca042143460ea93f000004e0e8116499860f4b856103074d18961f43427923874eb30f0a101058446a64c993\
                    29039c3292860d9d3272e6002b65844d98337302884a42c49982757a60946242254d9b32011886393b2acc9c35a7a084\
                    c9c3e64d1832a5d094615397d4ce9e3f15ac92b277ae913063e8f00480d325cc323269da3c55f6ac473aceeed4a00400\
                    c10042a2860c1936b6325ab5674d3d8453374fdcb975ef9a0a23664c0c19330202
                    """,
                plain: [
                    """
                    0085a44e6f6465a462657461a55365714e6f03aa536f7572636541646472a47f000001aa536f757263654e6f6465a561\
                    6c706861aa536f75726365506f7274cd1f0a
                    """,
                    """
                    08048ba441646472a47f000001a746696c74657273c0a5466c61677301a24944ce0aeb7a30a54c54696d6501a44e616d\
                    65a361736ba75061796c6f6164a568656c6c6fa4506f7274cd1f0aab52656c6179466163746f7200aa536f757263654e\
                    6f6465a5616c706861a754696d656f7574ce77359400
                    """,
                    """
                    080384a24343c3a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164a6616263313233
                    """,
                ]
            ),
            Vector(
                name: "packet envelope compound",
                hex: """
                    07030096007600290282a75061796c6f6164da00820184aa41646a7573746d656e74cb3ef5739e7f89a762a54572726f\
                    72cb3ff35a92bc1bc707a6486569676874cb3f030f893a32a0d8a356656398cb3efdba59d14d92b1cbbf13c1e3f67a95\
                    57cb3f106ce1ab428570cb3ee344fff46e9fd1cbbf071e07acc04555cb3ecdca61c9bbffa5cbbef3710ad4534b84cbbe\
                    d1a5b645801fa0a55365714e6f0308048ba441646472a47f000001a746696c74657273c0a5466c61677301a24944ce0a\
                    eb7a30a54c54696d6501a44e616d65a361736ba75061796c6f6164a568656c6c6fa4506f7274cd1f0aab52656c617946\
                    6163746f7200aa536f757263654e6f6465a5616c706861a754696d656f7574ce77359400080384a24343c3a54c54696d\
                    6501a44e616d65a66465706c6f79a75061796c6f6164a6616263313233
                    """,
                plain: [
                    """
                    0282a75061796c6f6164da00820184aa41646a7573746d656e74cb3ef5739e7f89a762a54572726f72cb3ff35a92bc1b\
                    c707a6486569676874cb3f030f893a32a0d8a356656398cb3efdba59d14d92b1cbbf13c1e3f67a9557cb3f106ce1ab42\
                    8570cb3ee344fff46e9fd1cbbf071e07acc04555cb3ecdca61c9bbffa5cbbef3710ad4534b84cbbed1a5b645801fa0a5\
                    5365714e6f03
                    """,
                    """
                    08048ba441646472a47f000001a746696c74657273c0a5466c61677301a24944ce0aeb7a30a54c54696d6501a44e616d\
                    65a361736ba75061796c6f6164a568656c6c6fa4506f7274cd1f0aab52656c6179466163746f7200aa536f757263654e\
                    6f6465a5616c706861a754696d656f7574ce77359400
                    """,
                    """
                    080384a24343c3a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164a6616263313233
                    """,
                ]
            ),
            Vector(
                name: "leaf user/leave",
                hex: "080083a54c54696d6502a44e6f6465a462657461a55072756e65c2"
            ),
            Vector(
                name: "leaf dead",
                hex: "0583a446726f6da462657461ab496e6361726e6174696f6e01a44e6f6465a462657461"
            ),
            Vector(
                name: "packet envelope crc/lzw/compound",
                hex: """
                    0c289763620982a4416c676f00a3427566da0082000f0c00c083200009040c910a42868c1c527f001c08b02a899b3161\
                    e4b8094327cd1b370148352943278ca87f8048397943a68c28323148417923874eb30f0a465999e3c654800202041428\
                    907061c387110f08a87831e3c68e1f438e2c7932e5ca962f65c8a46913a74e9e3e810a2d802080a0524ca8a4695326e4\
                    559764640404
                    """,
                plain: [
                    """
                    0486a441646472a47f000701ab496e6361726e6174696f6e01a44d657461a2ff80a44e6f6465a26431a4506f7274cd1f\
                    0aa356736ea6010502020505
                    """,
                    """
                    0486a441646472a47f000702ab496e6361726e6174696f6e01a44d657461a2ff80a44e6f6465a26432a4506f7274cd1f\
                    0aa356736ea6010502020505
                    """,
                    "080182a54c54696d6501a44e6f6465a26432",
                ]
            ),
            Vector(
                name: "leaf indirectPing",
                hex: """
                    0188a44e61636bc3a44e6f6465a27079a4506f7274cd1f0aa55365714e6f07aa536f7572636541646472a47f000703aa\
                    536f757263654e6f6465a26433aa536f75726365506f7274cd1f0aa6546172676574a47f000709
                    """
            ),
            Vector(
                name: "leaf nackResp",
                hex: "0b81a55365714e6f07"
            ),
            Vector(
                name: "leaf suspect",
                hex: "0383a446726f6da26432ab496e6361726e6174696f6e01a44e6f6465a27079"
            ),
            Vector(
                name: "leaf user/relay",
                hex: """
                    080982a8446573744164647283a24950a47f000701a4506f7274cd1f0aa45a6f6e65a0a8446573744e616d65a2643105\
                    85a5466c61677301a446726f6da26432a24944ce25b78431a54c54696d6501a75061796c6f6164c0
                    """
            ),
        ] + laterVectors

    package static func named(_ prefix: String) -> [Vector] { all.filter { $0.name.hasPrefix(prefix) } }
}
