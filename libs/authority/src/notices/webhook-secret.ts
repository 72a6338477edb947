import { createHmac, randomBytes } from 'node:crypto';
import { open, seal, sealContext, type SealingKey } from '#credential';
import { AuthorityError } from '#kernel';
import type { Webhook, WebhookSecrets } from '#store';
import type { AuthorityContext } from '../context.js';

const SECRET_BYTES = 32;
const PREFIX = 'whsec_';

type Owner = Pick<Webhook, 'id' | 'organizationId'>;

/** A new secret as Standard Webhooks writes it: `whsec_` and base64. */
export function mintWebhookSecret(): { text: string; bytes: Buffer } {
  const bytes = randomBytes(SECRET_BYTES);
  return { text: PREFIX + bytes.toString('base64'), bytes };
}

/** Bound to its row: moved to another webhook it does not open. */
export function sealWebhookSecret(a: Pick<AuthorityContext, 'apiKek' | 'plane'>, of: Owner, bytes: Buffer): Buffer {
  return seal(requireKek(a), bytes, webhookSealContext(of));
}

export function openWebhookSecret(a: Pick<AuthorityContext, 'apiKek' | 'plane'>, of: Owner, sealed: Buffer): Buffer {
  return open(requireKek(a), sealed, webhookSealContext(of));
}

/** The secrets that sign at this time: the present one, and the one before it for as long as it is still good. */
export function signingSecrets(
  a: Pick<AuthorityContext, 'apiKek' | 'plane'>,
  of: Owner & WebhookSecrets & Pick<Webhook, 'previousEndsAt'>,
  at: Date,
): Buffer[] {
  const secrets = [openWebhookSecret(a, of, of.sealedSecret)];
  if (of.sealedPrevious !== null && of.previousEndsAt !== null && of.previousEndsAt > at) {
    secrets.push(openWebhookSecret(a, of, of.sealedPrevious));
  }
  return secrets;
}

/** The three headers of Standard Webhooks 1.0: HMAC-SHA-256 over `<id>.<seconds since 1970>.<body>`, one per secret. */
export function signatureHeaders(
  secrets: readonly Buffer[],
  id: string,
  at: Date,
  body: Buffer,
): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const signatures = secrets.map((secret) => {
    const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body).digest('base64');
    return `v1,${mac}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}

function requireKek(a: Pick<AuthorityContext, 'apiKek' | 'plane'>): SealingKey {
  if (!a.apiKek) throw new AuthorityError('internal', `the ${a.plane} plane opens no webhook secrets`);
  return a.apiKek;
}

/** To what a secret is sealed: its row. */
export function webhookSealContext({ id, organizationId }: Owner): Buffer {
  return sealContext('webhook', { id, organizationId });
}
