import { z } from 'zod';
import { AuthorityError } from '#kernel';
import { ROLES } from '#policy';

const rule = z.strictObject({
  claim: z.string().min(1).max(200),
  organizationId: z.uuid().optional(),
  roles: z.array(z.enum(ROLES)).min(1),
});

const settings = z
  .strictObject({
    issuer: z.url(),
    clientId: z.string().min(1).max(500),
    clientSecret: z.string().min(1).max(500).optional(),
    scope: z
      .string()
      .regex(/^openid( [\x21\x23-\x5b\x5d-\x7e]+)*$/, 'must begin with openid')
      .default('openid profile email'),
    rolesClaim: z.string().min(1).max(200).default('touchmark_roles'),
    mapping: z.array(rule).min(1).max(200),
    allowInsecureIssuer: z.boolean().default(false),
  })
  .refine(
    ({ issuer, allowInsecureIssuer }) =>
      issuer.startsWith('https://') || (allowInsecureIssuer && issuer.startsWith('http://127.0.0.1:')),
    { path: ['issuer'], message: 'must be an https:// URL' },
  );

/**
 * Which issuer signs people in, and what its claims give here. `mapping`: whose roles claim holds `claim` belongs to
 * `organizationId` (default: the authority) with `roles`.
 */
export type OidcSettings = Readonly<z.infer<typeof settings>>;

/** Throws `invalid`, naming the file and the member, for whatever is not exactly of this form. */
export function parseOidcSettings(text: string, file: string): OidcSettings {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The text holds a secret: what of it cannot be read is not told.
    throw new AuthorityError('invalid', `${file} is not JSON.`);
  }
  const parsed = settings.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AuthorityError('invalid', `${file}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not usable'}.`);
}
