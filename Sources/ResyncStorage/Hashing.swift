import COpenSSL
package import ResyncCore

/// OpenSSL refused or failed; nothing it returned may be used.
package struct HashingError: Error, Sendable {
    package let call: String
}

/// The secret of one run's keyed digests: random, never stored, never printed.
package struct RunKey: Sendable {
    fileprivate let key: [UInt8]
    fileprivate let nonce: [UInt8]

    package init() throws(HashingError) {
        key = try randomBytes(16)
        nonce = try randomBytes(12)
    }

    /// A key that is known proves nothing: for published vectors only, out of reach outside.
    init(key: [UInt8], nonce: [UInt8]) {
        precondition(key.count == 16 && nonce.count == 12)
        self.key = key
        self.nonce = nonce
    }
}

/// Bytes from OpenSSL's random generator.
package func randomBytes(_ count: Int) throws(HashingError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard RAND_bytes(&bytes, Int32(count)) == 1 else { throw HashingError(call: "RAND_bytes") }
    return bytes
}

/// How a run digests blocks.
package struct DigestScheme: Sendable {
    package let algorithm: DigestAlgorithm
    /// Bytes of a block, 64 KiB to 16 MiB.
    package let blockSize: Int
    fileprivate let key: RunKey?

    /// For `gmac` a fresh key is made; the self-test has run before this returns.
    package init(_ algorithm: DigestAlgorithm, blockSize: Int) throws(HashingError) {
        self.algorithm = algorithm
        self.blockSize = blockSize
        self.key = algorithm == .gmac ? try RunKey() : nil
        try selfTest()
    }

    /// `gmac` under a key of the caller's.
    init(_ key: RunKey, blockSize: Int) throws(HashingError) {
        algorithm = .gmac
        self.blockSize = blockSize
        self.key = key
        try selfTest()
    }

    /// A digest over some blocks' digests that can be kept: without the run's secret it says
    /// nothing about the keyed digests it was made from.
    package func witness(_ blocks: BlockList, _ range: Range<Int>) -> Digest {
        guard var hash = try? EVPHash(.sha256) else {
            preconditionFailure("OpenSSL has no SHA-256")
        }
        if let key { hash.update(key.key + key.nonce) }
        blocks.forEachRun(in: range) { digest, count in
            digest.withBytes { hash.update($0) }
            withUnsafeBytes(of: UInt64(count).littleEndian) { hash.update($0) }
        }
        return hash.finalize()
    }

    /// Two different blocks must have two digests, and one block always the same: a cipher context
    /// used again without its nonce keeps answering with the tag before (seen with OpenSSL 3.0).
    private func selfTest() throws(HashingError) {
        let digester = try BlockDigester(self)
        try Self.test { (byte) throws(HashingError) in
            try digester.digest([UInt8](repeating: byte, count: 4096))
        }
    }

    /// The self-test, on whatever makes a digest of a block that is filled with one byte.
    static func test(_ digest: (UInt8) throws(HashingError) -> Digest) throws(HashingError) {
        let (first, second, again) = (try digest(1), try digest(2), try digest(1))
        guard first != second, first == again else { throw HashingError(call: "self-test") }
    }
}

/// Digests one block at a time; contexts are made once. Used by one thread at a time.
package final class BlockDigester {
    private let scheme: DigestScheme
    var blockSize: Int { scheme.blockSize }
    private let cipher: OpaquePointer?
    private var hash: EVPHash?
    /// A block was begun and is not finished: a read error ends many.
    private var isBegun = false
    private var zeros: [Int: Digest] = [:]

    package init(_ scheme: DigestScheme) throws(HashingError) {
        self.scheme = scheme
        if let key = scheme.key {
            cipher = EVP_CIPHER_CTX_new()
            guard let cipher,
                EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), nil, key.key, key.nonce) == 1
            else { throw HashingError(call: "EVP_EncryptInit_ex") }
        } else {
            cipher = nil
            hash = try EVPHash(scheme.algorithm)
        }
    }

    deinit { EVP_CIPHER_CTX_free(cipher) }

    package func begin() throws(HashingError) {
        if let cipher, let key = scheme.key {
            // GMAC (NIST SP 800-38D): GCM over additional data only. The nonce is set for each
            // block; without it OpenSSL would go on answering with the previous tag.
            guard EVP_EncryptInit_ex(cipher, nil, nil, nil, key.nonce) == 1 else {
                throw HashingError(call: "EVP_EncryptInit_ex")
            }
        } else {
            if isBegun { hash?.restart() }
            isBegun = true
            hash?.update([TreeDomain.leaf])
        }
    }

    package func update(_ bytes: UnsafeRawBufferPointer) throws(HashingError) {
        if let cipher {
            var written: Int32 = 0
            guard
                EVP_EncryptUpdate(
                    cipher, nil, &written,
                    bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(bytes.count))
                    == 1
            else { throw HashingError(call: "EVP_EncryptUpdate") }
        } else {
            hash?.update(bytes)
        }
    }

    package func finish() throws(HashingError) -> Digest {
        guard let cipher else {
            guard let digest = hash?.finalize() else { throw HashingError(call: "EVP_Digest") }
            isBegun = false
            return digest
        }
        var written: Int32 = 0
        var nothing: UInt8 = 0
        guard EVP_EncryptFinal_ex(cipher, &nothing, &written) == 1 else {
            throw HashingError(call: "EVP_EncryptFinal_ex")
        }
        var tag: (UInt64, UInt64) = (0, 0)
        let result = withUnsafeMutableBytes(of: &tag) {
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, $0.baseAddress)
        }
        guard result == 1 else { throw HashingError(call: "EVP_CTRL_AEAD_GET_TAG") }
        return Digest(words: (tag.0, tag.1, 0, 0))
    }

    package func digest(_ bytes: [UInt8]) throws(HashingError) -> Digest {
        try begin()
        let updated: Result<Void, HashingError> = bytes.withUnsafeBytes { raw in
            Result { () throws(HashingError) in try update(raw) }
        }
        try updated.get()
        return try finish()
    }

    /// The digest of so many zeros, computed once per length: what a hole counts as.
    package func zeros(_ count: Int) throws(HashingError) -> Digest {
        if let known = zeros[count] { return known }
        let digest = try digest([UInt8](repeating: 0, count: count))
        if zeros.count > 64 { zeros.removeAll() }
        zeros[count] = digest
        return digest
    }
}

/// SHA-256 or SHA-512/256 (FIPS 180-4). A failing EVP call is a broken library: the process ends
/// rather than go on with a digest that means nothing.
package struct EVPHash: HashFunction {
    private let context: Context

    private final class Context {
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { self.pointer = pointer }
        deinit { EVP_MD_CTX_free(pointer) }
    }

    /// - Precondition: the algorithm is a plain hash, not `gmac`.
    package init(_ algorithm: DigestAlgorithm) throws(HashingError) {
        precondition(algorithm.canBeKept)
        guard let pointer = EVP_MD_CTX_new() else { throw HashingError(call: "EVP_MD_CTX_new") }
        context = Context(pointer)
        let kind = algorithm == .sha256 ? EVP_sha256() : EVP_sha512_256()
        guard EVP_DigestInit_ex2(pointer, kind, nil) == 1 else {
            throw HashingError(call: "EVP_DigestInit_ex2")
        }
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        precondition(EVP_DigestUpdate(context.pointer, bytes.baseAddress, bytes.count) == 1)
    }

    package mutating func finalize() -> Digest {
        var digest = Digest.zero
        var length: UInt32 = 0
        let done = withUnsafeMutableBytes(of: &digest.words) {
            EVP_DigestFinal_ex(
                context.pointer, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), &length)
        }
        precondition(done == 1 && length == Digest.byteCount)
        restart()
        return digest
    }

    /// Forgets all bytes since the last digest.
    fileprivate mutating func restart() {
        precondition(EVP_DigestInit_ex2(context.pointer, nil, nil) == 1)
    }
}
