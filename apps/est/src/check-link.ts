import type { TLSSocket } from 'node:tls';
import { AuthorityError } from '#kernel';
import type { EstLabel } from '#policy';
import { checkChannelBinding } from './channel-binding.js';

/**
 * Whether the request is linked to its connection as the label wants it (RFC 7030 section 3.5). `socket` undefined: TLS ended
 * at a proxy, and nothing can be compared here (E69). Throws `invalid`, code `channelBinding`. Where challengePassword is the
 * enrollment secret, the label has said so, and no link is looked for (E70).
 */
export function checkLink(
  socket: TLSSocket | undefined,
  label: Pick<EstLabel, 'challengePassword' | 'channelBinding'>,
  challengePassword: string | undefined,
): void {
  if (label.challengePassword === 'secret' || challengePassword === undefined) return;
  if (label.channelBinding === 'off') {
    throw refused('this label takes no request that is linked to its connection: leave challengePassword out');
  }
  if (socket === undefined) {
    throw refused('the request came through a proxy, where its link cannot be checked: leave challengePassword out');
  }
  checkChannelBinding(socket, challengePassword);
}

/** EX22: who the label makes link is told so, whoever he is. Throws as `checkLink` does. */
export function requireLink(label: Pick<EstLabel, 'channelBinding'>, challengePassword: string | undefined): void {
  if (label.channelBinding !== 'required' || challengePassword !== undefined) return;
  throw refused('linking is required: put the channel binding of the connection into challengePassword');
}

const refused = (why: string): AuthorityError =>
  new AuthorityError('invalid', `${why} (RFC 7030 section 3.5)`, { code: 'channelBinding' });
