import Testing

/// Bytes captured from serf 0.9.4 agents (memberlist 0.2.2), or computed where the name says so.
struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let hex: String
    /// What is inside, each in hex.
    var plain: [String] = []
    var key: String?

    var bytes: [UInt8] { fromHex(hex) }
    var testDescription: String { name }
}

enum MemberlistVectors {
    static let all: [Vector] = [
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
                """
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
                """
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
                """
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
                "080182a54c54696d6501a44e6f6465a26432"
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
        Vector(
            name: "tcp push/pull request (joiner, Join=true), compressed",
            hex: """
                0982a4416c676f00a3427566da00ca000d0c22a5e44d1a37c34a397943a6cc9c00acaacc2923670a9d3074ca3029e3a6\
                9900268748052143460ea93f0000085895c4cd983072dc604cf3c64d00524dca5c14f50f10292761da94212546671852\
                50dec8a1d3ec8382521631960130caca1c37a602141020a0c05643aa8ad8e14887099534420398124b760e37010080c9\
                9d4bb7aeddbb78f3eaddcbb7afdfbf80030b1e4cb8b0e1c388132b5eccb8b1e3c7804b99455b26c0aa8d66e8e46c5354\
                ce1c48aaa2d4a19867725a5651e9d49963da6120a246010404
                """,
            plain: [
                """
                0683a44a6f696ec3a54e6f64657301ac5573657253746174654c656ecd024c87a441646472a47f000002ab496e636172\
                6e6174696f6e01a44d657461a2ff80a44e616d65a462657461a4506f7274cd1f0aa5537461746500a356736ea6010502\
                0205050286aa4576656e744c54696d6501a64576656e7473dc0200c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0a54c54696d6501ab4c6566744d656d6265727390aa51756572794c54696d6501ac53746174\
                75734c54696d657381a46265746100
                """
            ]
        ),
        Vector(
            name: "tcp push/pull reply (agent), compressed",
            hex: """
                0982a4416c676f00a3427566da00dd000d0c22a5e44d1a37c34a397943a6cc9c00acaacc2923670a9d3074ca3029e3a6\
                9980268748052143460ea93f0000045895c4cd983072dc604cf3c64d00524dca5c8cf54f1029396fd8941975a78c1851\
                64c688c213839493306dca940ac3060e9a30a4a0bc9143a7d90705a52c622c03609495396e4c052820404001b6865415\
                b1c3910e132a69a2063035b7ee1c6e0200001b4cb8b0e1c388132b5eccb8b1e3c790234b9e4cb9b2e5cb98336bdeccb9\
                b3e7cfa02397ba9bb7ccca8d66e8e46c2386e21c48aaa2d4a19887b45e5662e9d49963db61a0a955af020808
                """,
            plain: [
                """
                0683a44a6f696ec3a54e6f64657301ac5573657253746174654c656ecd024d87a441646472a47f000001ab496e636172\
                6e6174696f6e01a44d657461b1ff82a4726f6c65a3776562a26463a27831a44e616d65a5616c706861a4506f7274cd1f\
                0aa5537461746500a356736ea60105020205050286aa4576656e744c54696d6501a64576656e7473dc0200c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
                c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0a54c54696d6501ab4c6566744d656d6265727390aa\
                51756572794c54696d6501ac5374617475734c54696d657381a5616c70686100
                """
            ]
        ),
        Vector(
            name: "tcp encrypted err reply to a plaintext push/pull",
            hex: """
                0a00000071018bea2a024216e03fc583045e5836e28a0ab567c3dfd756d724ab1bb4447a2f3e58ea9b8e5e829260a7e5\
                58c246b1eb48554da74e401b4e9b0ff3c524ff36e1ea3cb65843aa5fd9b92399614aaadca74936d8e7c0adba22fe9cb5\
                89b025e159f1287f4e6d1ffa4135eb587dbaf5f6b56f
                """,
            plain: [
                """
                0982a4416c676f00a3427566da0045001b042a55448e9c3772b401d051c4cd183979e0d049f3c60d883473408ca96826\
                cd993a72ca900121a60e1d1021dbbca15306c41c3a61585ecce8662588320e214a141910
                """
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "tcp encrypted push/pull",
            hex: """
                0a000000d70179f867849387435cac28bc67c3f25e899acf936e1c259ffe77c2d27fce4166637528bb1422d882e01434\
                194da49653bbc4055237f8a634b12e3cd4994f3361e97f4b053adffc7b6931ebf07765245333511a2284e6724002191c\
                709190a46cc77b0b1ba27f7be2ccc60a20ab8af3f4c962ed52a63feb0fa120f4a4b04049793fe673d41b230836546726\
                75e2f6060bd93f09adc65e94b6eecc4ab212b6ef090686d81b735290405fc4d10feaadbda9cb9fd57d02623522941ca5\
                9fe3691c455c4fe99b656b8468a952c068278e2cf34bb95f8c3d133a
                """,
            plain: [
                """
                0982a4416c676f00a3427566da00ab000d0c22a5e44d1a37c34a397943a6cc9c00acaacc2923670a9d3074ca3029e306\
                c9215241c8909143ea0f00000956257133268c1c3718d3bc711380549332175bfd0b444ace1b36654acdb993c60c1d52\
                4ec2b429230a4e1e5250dec8a1d3ec8382521631960130caca1c37a602141020a0c05843aa8ad8e148870995344b0398\
                52cb760eb0526ee19609b06aa3d19b6dc4509c034955943a14f3e48dcb2a2b9d3a73163b0cd4340f8080
                """
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "udp encrypted v1 (hasCrc inside)",
            hex: """
                01417906c941f8f6ea544468023536260bfb94e58495d67e4f76677429b6d2a51386c96d736c2d6a1cf7ad88bf41481c\
                a7a81aa56a4b136df59080d0659fa46e554123ff6739f2d8a3af4da8e07fe7215ea3c26b4eedbc08b1b6e97d4bc0550f\
                37958d979e6f8c3edee9c42dbdf5806b56784c9ae2b5aa68275077975c87a88d43140f93a00d41cc0e88c9425045bede\
                e3772a3cd029a7ed863ad3e091cd715c181bf834f8203530c3197fbee8aeb7173ca0af1e67eca7f4ee5b4e0223d694d7\
                216d
                """,
            plain: [
                """
                0cd803d01a07030047003f00120486a441646472a47f000009ab496e6361726e6174696f6e01a44d657461adff81a472\
                6f6c65a57377696674a44e6f6465a27079a4506f7274cd1f0aa356736ea60105020205050486a441646472a47f000001\
                ab496e6361726e6174696f6e01a44d657461a2ff80a44e6f6465a5616c706861a4506f7274cd1f0aa356736ea6010502\
                020505080182a54c54696d6501a44e6f6465a27079
                """
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "udp encrypted v1 (ping inside)",
            hex: """
                012673ed6cd4dd498aae6f015b3f237286e398d21acdba957da50b478ea1fd5bb96f2fc8d4b221f2ddfc49a4f0584ab8\
                ee7d922f574cc4d6e1d3466eb189164f8e4ae84dd50c8cac87eab251072a6cc5fa058fd25713a5c86bfa4ef0b3
                """,
            plain: [
                """
                0085a44e6f6465a27079a55365714e6f01aa536f7572636541646472a47f000001aa536f757263654e6f6465a5616c70\
                6861aa536f75726365506f7274cd1f0a
                """
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "udp encrypted v1 (user inside)",
            hex: """
                010a3f30bed1159cc9b28442e8a5eddd512809abe54f1916dfc1e70161123534aea598443fe738dbe3edde1d188244f9\
                d5ccb0bf64b806668519b385b8105a8c8a0b117d1b1d480d145d
                """,
            plain: [
                """
                080585a5466c61677301a446726f6da5616c706861a24944ce1dd7a764a54c54696d6501a75061796c6f6164c0
                """
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "udp encrypted v1 (compress inside)",
            hex: """
                016567bfe550f870dded8175a679739385bef5b315eba1855974dc2f49a5bdb1a584d33bfbddc36d26603af783093546\
                df4a2c7fc8be945e9853b28cfc710ae1876bc74f26a07142f09fb8f3e3ec6bdfc91bcf213f8acea34857c9be682edf2a\
                7100e6e71f7e386061a439d57c94d3dd135477564ebdaf6d460df63a35e8b5f11faaaed5ea2cee1e8c5c8e5e807a8792\
                9ba1860b8f79abce038d7bec4fd5a9b2298177be63c508c728213e113b1ca06826934e713589f3425c9fc2ba291c9772\
                f32d6f59a006c68c24383ec16bfc5d70b95ae37c1345c85769ca145c1a3f393afa1da6c6393465d0dcdf3a16ade8f62c\
                7f822ac0811a23
                """,
            plain: [
                """
                0982a4416c676f00a3427566da00cb000f0c000004801d0026001422e5e40d9932a2e0e42935a54c9c8602544d795347\
                ce983241c8909143ea0f0000013472f458a6e1c35261d8c041134665c78f50dec8a1d3ec8302040416910a39b2e4c900\
                a78ca46143a78c9c39c04a196113e6cc9c00a2921071d6e1da2932a5985049d3a64c008661ca8e0a3367cd292861f2b0\
                7913062c9a326ce692cab9b3a7825552f0c63512660c1d9d006cb2745906a64c9aa7c696e548c7d99d1a940020184048\
                d49021c3c24a368bb6aca98770e6e6791b776edd517668cc0808
                """
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "stream err_tcp",
            hex: """
                0982a4416c676f00a3427566da0045001b042a55448e9c3772b401d021a54c9b3774ca809843274c441069e68028e366\
                8c9c3c7022920111c6cd488e1e41d249f3c60d468d6e208218d3d24c9a3375e494211310
                """
        ),
        Vector(
            name: "stream tcp_ping_out",
            hex: """
                0085a44e6f6465a26431a55365714e6f4daa536f7572636541646472a47f000742aa536f757263654e6f6465a178aa53\
                6f75726365506f7274cd1f0a
                """
        ),
        Vector(
            name: "stream tcp_ping_reply",
            hex: "0982a4416c676f00a3427566b70005083a05254c1e366fc29001566a4a99384ede340908"
        ),
        Vector(
            name: "stream tcp_user_out",
            hex: "0881aa557365724d73674c656e160182a54c54696d6509a44e6f6465a77463706a6f696e"
        ),
        Vector(
            name: "computed: encryption v0 (PKCS7) of ack",
            hex: """
                00000102030405060708090a0b4580714ba49cae74ec25572ee28c0923ecd1893afe7551723669eb8b13670ebc107eae\
                8c154b930db2ae929d323f8336
                """,
            plain: [
                "0282a75061796c6f6164c0a55365714e6f07"
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "computed: encryption v1 of ack",
            hex: """
                01000102030405060708090a0b4580714ba49cae74ec25572ee28c0923ecd1f95d4a825815d44b580072f1297a473c
                """,
            plain: [
                "0282a75061796c6f6164c0a55365714e6f07"
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "computed: label 'blue' + encryption v1 of ack, aad = label (memberlist >= 0.3)",
            hex: """
                f404626c756501000102030405060708090a0b4580714ba49cae74ec25572ee28c0923ecd11633e04fff1ba6e525b31e\
                dd0aa04348
                """,
            plain: [
                "0282a75061796c6f6164c0a55365714e6f07"
            ],
            key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        Vector(
            name: "computed: lzw lsb/8 of 0 bytes",
            hex: "000302",
            plain: [
                ""
            ]
        ),
        Vector(
            name: "computed: lzw lsb/8 of 1 bytes",
            hex: "00830404",
            plain: [
                "41"
            ]
        ),
        Vector(
            name: "computed: lzw lsb/8 of 16 bytes",
            hex: "00c388114870a0c1820101",
            plain: [
                "61626162616261626162616261626162"
            ]
        ),
        Vector(
            name: "computed: lzw lsb/8 of 300 bytes",
            hex: "0001081c48b0a0c18308132a5cc8b0a1c38710234a9c48b1a2c58b180302",
            plain: [
                """
                000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
                000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
                000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
                000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
                000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
                000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
                000000000000000000000000
                """
            ]
        ),
    ]

    static func named(_ prefix: String) -> [Vector] { all.filter { $0.name.hasPrefix(prefix) } }
}
