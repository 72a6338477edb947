import { createHash, timingSafeEqual } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { AuthorityError } from '#kernel';
import { hasExtendedMasterSecret } from './extended-master-secret.js';

const EXPORTER_LABEL = 'EXPORTER-Channel-Binding';
const EXPORTER_LENGTH = 32;

/**
 * Links the request to its TLS connection (RFC 7030 section 3.5): a challengePassword in the CSR must be base64 of
 * tls-unique on TLS 1.2 (E61, RFC 5929 section 3.1) and of the exporter of RFC 9266 on TLS 1.3 (E65). A CSR without one is
 * not linked; whether it must be, the label says. Throws `invalid`, code `channelBinding`.
 */
export function checkChannelBinding(socket: TLSSocket, challengePassword: string | undefined): void {
  if (challengePassword === undefined) return;
  const expected = digest(channelBinding(socket).toString('base64'));
  if (!timingSafeEqual(digest(challengePassword), expected)) {
    throw failed('the challengePassword is not the channel binding of this TLS connection');
  }
}

/**
 * The bytes that both ends of this connection, and no others, know. Throws `invalid` on TLS 1.2 without extended master
 * secret, where a man in the middle could know them too (RFC 7627 section 1).
 */
export function channelBinding(socket: TLSSocket): Buffer {
  switch (socket.getProtocol()) {
    case 'TLSv1.3':
      // The context is there and empty; leaving it out would be another exporter on TLS 1.2 (RFC 9266 section 2).
      return socket.exportKeyingMaterial(EXPORTER_LENGTH, EXPORTER_LABEL, Buffer.alloc(0));
    case 'TLSv1.2':
      if (!hasExtendedMasterSecret(socket.getSession())) {
        throw failed('on TLS 1.2 it needs a connection with extended master secret (RFC 7627)');
      }
      return tlsUnique(socket);
    default:
      throw failed('this connection has no channel binding');
  }
}

/** The first Finished of the handshake: the client's in a full one, ours in a resumed one (E62). */
function tlsUnique(socket: TLSSocket): Buffer {
  const finished = socket.isSessionReused() ? socket.getFinished() : socket.getPeerFinished();
  if (finished === undefined) throw failed('this connection has no channel binding');
  return finished;
}

function failed(why: string): AuthorityError {
  return new AuthorityError('invalid', `Linking the request to its connection failed: ${why} (RFC 7030 section 3.5)`, {
    code: 'channelBinding',
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
