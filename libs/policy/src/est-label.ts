import type { Profile } from './profile.js';

/** Ways in which somebody proves who he is to EST (RFC 7030 section 3.3). */
export const AUTHENTICATION_METHODS = [
  /** One-time secret of a registered device, by HTTP Basic, or Digest where the label has it. */
  'secret',
  /** The device's own certificate. */
  'certificate',
  /** API key of the app that may enroll. */
  'apiKey',
  /** Certificate of a third party, under trust anchors that operators configure: the implicit anchors of RFC 7030. */
  'manufacturer',
  /** Any certificate, also self-signed, whose SHA-256 was registered with the device. */
  'fingerprint',
  /** OpenID Connect token of a person who may enroll devices. */
  'account',
  /** Certificate of ours with id-kp-cmcRA (RFC 6402). */
  'ra',
] as const;
export type AuthenticationMethod = (typeof AUTHENTICATION_METHODS)[number];

/** The three operations that a server may leave out (E08). */
export const OPTIONAL_OPERATIONS = ['csrattrs', 'serverkeygen', 'fullcmc'] as const;
export type OptionalOperation = (typeof OPTIONAL_OPERATIONS)[number];

/** What EST offers under one path segment. */
export interface EstLabel {
  /** The path segment; `device` answers without one too (E05). */
  name: string;
  version: number;
  description: string;
  /** Name of the profile that is issued by. */
  profile: string;
  authentication: readonly AuthenticationMethod[];
  /** Whether the secret may come by HTTP Digest (RFC 7616) too; it must have been made while a label of its profile says so. */
  digest: boolean;
  /** Whether a device that is not registered registers by the API key that it enrolls with. */
  registers: boolean;
  /** Names of the sets of trust anchors that `manufacturer` takes. */
  anchors: readonly string[];
  /** Whether somebody has to approve each first certificate, besides what the profile says. */
  approval: boolean;
  /** Whether the request must carry, may carry or must not carry its connection in challengePassword (RFC 7030 section 3.5). */
  channelBinding: 'off' | 'optional' | 'required';
  operations: readonly OptionalOperation[];
  /** Base64 of answers: `auto` breaks lines for clients that need it (E23a). */
  lineForm: 'auto' | 'single' | 'wrapped';
  /** Whether a request may come as PEM (E24). */
  pemRequests: boolean;
  /** A renewal without subjectAltName: refused, or taken to keep the names (E81). */
  missingSan: 'refuse' | 'keep';
  /** What challengePassword is: the connection, or the enrollment secret as in SCEP (E70). */
  challengePassword: 'binding' | 'secret';
  /** Whether a proxy that ends TLS may hand over the client's certificate (RFC 9440). */
  proxy: boolean;
}

/** The profile and label that answer where the path names none. */
export const DEFAULT_LABEL = 'device';

/** Each end-entity profile that is asked for from outside has a label of its name, until somebody decides otherwise. */
export function shippedLabel(profile: Profile): EstLabel {
  return {
    name: profile.name,
    version: 1,
    description: profile.description,
    profile: profile.name,
    authentication: ['secret', 'certificate'],
    digest: false,
    registers: false,
    anchors: [],
    approval: false,
    channelBinding: 'optional',
    operations: ['csrattrs'],
    lineForm: 'auto',
    pemRequests: false,
    missingSan: 'refuse',
    challengePassword: 'binding',
    proxy: false,
  };
}

/** Those that EST issues by: no CA's, and no certificate that only the authority makes for itself. */
export const overEst = (profile: Pick<Profile, 'ca' | 'ocspNoCheck'>): boolean => !profile.ca && !profile.ocspNoCheck;
