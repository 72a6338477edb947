import { z } from 'zod';
import { AuthorityError } from '#kernel';
import { GENERATED_KEY_TYPES } from '#pki';

const text = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}]*$/u);
const hosts = z.array(z.string().min(1).max(253)).min(1).max(100).optional();
const names = z.strictObject({ dns: hosts, email: hosts, uri: hosts, ip: hosts });

const init = z.strictObject({
  do: z.literal('init'),
  name: text.max(64),
  organization: text.max(64).optional(),
  keyType: z.enum(GENERATED_KEY_TYPES).default('ec-p384'),
  years: z.int().min(1).max(50).default(20),
});
const sign = z.strictObject({
  do: z.literal('sign'),
  csr: text,
  out: text,
  statusUrl: z.url({ protocol: /^http$/ }),
  pathLen: z.int().min(0).max(8).nullable().default(0),
  years: z.int().min(1).max(50).default(10),
  nameConstraints: z.strictObject({ permitted: names.optional(), excluded: names.optional() }).optional(),
});
const revoke = z.strictObject({ do: z.literal('revoke'), serial: z.string().regex(/^[0-9a-f]{2,40}$/), reason: text });
const crl = z.strictObject({ do: z.literal('crl'), out: text, days: z.int().min(1).max(400).default(365) });
const note = z.strictObject({ do: z.literal('note'), text: text.max(2000) });

const script = z.strictObject({
  title: text,
  place: text.optional(),
  participants: z
    .array(z.strictObject({ name: text, role: text }))
    .min(2)
    .max(20),
  steps: z
    .array(z.discriminatedUnion('do', [init, sign, revoke, crl, note]))
    .min(1)
    .max(100),
});

export type CeremonyScript = z.infer<typeof script>;
export type CeremonyStep = CeremonyScript['steps'][number];

/** A script: who is present, and what is done in which order. Throws `invalid`, with the place at fault. */
export function readScript(json: string): CeremonyScript {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new AuthorityError('invalid', 'the script is no JSON', { cause });
  }
  const parsed = script.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AuthorityError('invalid', `the script: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}
