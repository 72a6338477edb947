import { once } from 'node:events';
import { connect } from 'node:net';
import { randomBytes } from 'node:crypto';

/** TLS 1.2 and older suites that no OpenSSL of today can even offer. RFC 2246, RFC 4346, RFC 5246 appendix A.5. */
export const FORBIDDEN_SUITES = {
  TLS_RSA_WITH_NULL_MD5: 0x0001,
  TLS_RSA_WITH_NULL_SHA: 0x0002,
  TLS_RSA_EXPORT_WITH_RC4_40_MD5: 0x0003,
  TLS_RSA_WITH_RC4_128_SHA: 0x0005,
  TLS_RSA_EXPORT_WITH_DES40_CBC_SHA: 0x0008,
  TLS_RSA_WITH_DES_CBC_SHA: 0x0009,
  TLS_RSA_WITH_3DES_EDE_CBC_SHA: 0x000a,
  TLS_DHE_DSS_EXPORT_WITH_DES40_CBC_SHA: 0x0011,
  TLS_DH_anon_EXPORT_WITH_RC4_40_MD5: 0x0017,
  TLS_DH_anon_WITH_AES_128_CBC_SHA: 0x0034,
  TLS_RSA_WITH_NULL_SHA256: 0x003b,
  TLS_ECDHE_ECDSA_WITH_NULL_SHA: 0xc006,
  TLS_ECDHE_ECDSA_WITH_RC4_128_SHA: 0xc007,
  TLS_ECDHE_RSA_WITH_NULL_SHA: 0xc010,
  TLS_ECDH_anon_WITH_NULL_SHA: 0xc015,
  TLS_ECDH_anon_WITH_AES_128_CBC_SHA: 0xc018,
} as const;

export const ALLOWED_SUITE = 0xc02b;
export const TLS_1_1 = 0x0302;
export const TLS_1_2 = 0x0303;

export type Answer = { alert: number } | { serverHello: { version: number; suite: number } } | 'closed';

/** Sends one ClientHello that offers `suites` at most in `version`, and says what came back first. */
export async function offer(port: number, version: number, suites: readonly number[]): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write(clientHello(version, suites));
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length >= 5 && received.length >= 5 + received.readUInt16BE(3)) return answerOf(received);
    }
    return 'closed';
  } finally {
    socket.destroy();
  }
}

function clientHello(version: number, suites: readonly number[]): Buffer {
  const vector = (lengthBytes: 1 | 2 | 3, content: Buffer) => {
    const length = Buffer.alloc(lengthBytes);
    length.writeUIntBE(content.length, 0, lengthBytes);
    return Buffer.concat([length, content]);
  };
  const uint16s = (...values: number[]) => Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]));
  const extension = (type: number, content: Buffer) => Buffer.concat([uint16s(type), vector(2, content)]);
  const extensions = Buffer.concat([
    extension(10, vector(2, uint16s(0x0017, 0x0018))),
    extension(11, vector(1, Buffer.from([0]))),
    extension(13, vector(2, uint16s(0x0403, 0x0503, 0x0804, 0x0401, 0x0203, 0x0201))),
  ]);
  const body = Buffer.concat([
    uint16s(version),
    randomBytes(32),
    vector(1, Buffer.alloc(0)),
    vector(2, uint16s(...suites)),
    vector(1, Buffer.from([0])),
    vector(2, extensions),
  ]);
  const handshake = Buffer.concat([Buffer.from([1]), vector(3, body)]);
  return Buffer.concat([Buffer.from([22]), uint16s(0x0301), vector(2, handshake)]);
}

function answerOf(record: Buffer): Answer {
  const type = record.readUInt8(0);
  if (type === 21) return { alert: record.readUInt8(6) };
  // handshake header 4, version 2, random 32, session id
  const suiteAt = 5 + 4 + 2 + 32 + 1 + record.readUInt8(5 + 4 + 2 + 32);
  return { serverHello: { version: record.readUInt16BE(5 + 4), suite: record.readUInt16BE(suiteAt) } };
}
