import { z } from 'zod';
import type { ListedPasskey } from '#store';
import { id, text, time } from './values.js';

const base64url = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[A-Za-z0-9_-]+$/, 'must be base64url');

const attemptId = base64url(64);

/** As `PublicKeyCredential.toJSON()` gives it; members that are not needed are dropped. */
const credential = { id: base64url(1000), rawId: base64url(1000), type: z.literal('public-key') };
const clientExtensionResults = z.object({}).default({});

export const newPasskey = z
  .strictObject({
    attemptId,
    name: text(100),
    response: z.object({
      ...credential,
      response: z.object({
        clientDataJSON: base64url(8000),
        attestationObject: base64url(40_000),
        transports: z.array(z.string().max(40)).max(8).optional(),
      }),
      clientExtensionResults,
    }),
  })
  .meta({ id: 'NewPasskey' });

export const passkeySignIn = z
  .strictObject({
    attemptId,
    response: z.object({
      ...credential,
      response: z.object({
        clientDataJSON: base64url(8000),
        authenticatorData: base64url(8000),
        signature: base64url(8000),
        userHandle: base64url(200).optional(),
      }),
      clientExtensionResults,
    }),
  })
  .meta({ id: 'PasskeySignIn' });

export const invitationSignIn = z.strictObject({ code: z.string().min(1).max(200) }).meta({ id: 'InvitationSignIn' });

export const optionsSchema = z
  .strictObject({
    attemptId: z.string().meta({ description: 'to come back with, once, within 10 minutes' }),
    options: z.record(z.string(), z.unknown()).meta({ description: 'for navigator.credentials' }),
  })
  .meta({ id: 'PasskeyOptions' });

export const signedInSchema = z
  .strictObject({ person: z.strictObject({ id, name: z.string() }), expiresAt: time })
  .meta({ id: 'SignedIn', description: 'the session itself is in the cookie' });

export const passkeySchema = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    status: z.enum(['active', 'revoked']),
    createdAt: time,
    lastUsedAt: time.nullable(),
  })
  .meta({ id: 'Passkey' });
export const passkeysSchema = z.strictObject({ items: z.array(passkeySchema) }).meta({ id: 'Passkeys' });
export const removedPasskeySchema = z
  .strictObject({ id: z.string(), status: z.literal('revoked'), seq: z.int() })
  .meta({ id: 'RemovedPasskey' });

export function passkeyJson(row: ListedPasskey, status: 'active' | 'revoked'): z.infer<typeof passkeySchema> {
  const { name, createdAt, lastUsedAt } = row;
  return {
    id: row.id,
    name,
    status,
    createdAt: createdAt.toISOString(),
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
  };
}
