import { existsSync } from 'node:fs';
import path from 'node:path';
import type { KeyRing } from '#credential';
import { AuthorityError, type Config, type PlaneRole } from '#kernel';
import { readRing, type VersionedSecret } from './key-versions.js';
import { createSecretFiles, readKey, readText, readTlsKey } from './secret-files.js';

/** 32 bytes each, unless the name says otherwise. */
export interface ApiSecrets {
  peppers: KeyRing;
  /** X25519: seals derivation roots, opens none. */
  rootsPublicKey: Buffer;
  /** X25519: seals the symmetric keys of devices, opens none. */
  transportPublicKey: Buffer;
  statusMacKey: Buffer;
  /** Webhook and OpenID Connect client secrets. */
  apiKek: KeyRing;
  /** PEM. */
  tlsKey: string;
  databasePassword: string;
  /** Text of oidc.json, where the host has one: who signs in by which issuer, with the secret of this client. */
  oidc: { file: string; text: string } | undefined;
}

export interface EstSecrets {
  peppers: KeyRing;
  /** X25519: opens the symmetric keys of devices. */
  transportPrivateKey: Buffer;
  statusMacKey: Buffer;
  /** PEM. */
  tlsKey: string;
  databasePassword: string;
}

export interface ResponderSecrets {
  /** Opens delegated OCSP keys. */
  ocspKek: KeyRing;
  statusMacKey: Buffer;
  databasePassword: string;
}

export interface WorkerSecrets {
  peppers: KeyRing;
  ocspKek: KeyRing;
  feedKek: KeyRing;
  auditKek: KeyRing;
  apiKek: KeyRing;
  /** X25519: opens derivation roots. */
  rootsPrivateKey: Buffer;
  statusMacKey: Buffer;
  databasePassword: string;
}

export interface SignerSecrets {
  caKek: KeyRing;
  databasePassword: string;
}

/** Of a signer in a process of its own, besides. */
export interface SignerServiceSecrets {
  statusMacKey: Buffer;
  /** What its clients must show that they hold. */
  authKeys: KeyRing;
}

export interface SignerClientSecrets {
  authKeys: KeyRing;
}

/** Planes, and what a plane is beside them. */
export type SecretHolder = PlaneRole | 'signerService' | 'signerClient';

export interface MigrateSecrets {
  /** Set for the roles when they are made. */
  databasePasswords: Readonly<Record<Exclude<PlaneRole, 'migrate'>, string>>;
  /** Of the embedded Postgres; undefined where the file does not exist (DATABASE_URL has its own). */
  superuserPassword: string | undefined;
}

interface SecretsOf {
  api: ApiSecrets;
  est: EstSecrets;
  responder: ResponderSecrets;
  worker: WorkerSecrets;
  signer: SignerSecrets;
  signerService: SignerServiceSecrets;
  signerClient: SignerClientSecrets;
  migrate: MigrateSecrets;
}

export interface Secrets {
  /** What this plane holds and nothing else. `internal` when the plane was not among those opened. */
  of<P extends SecretHolder>(plane: P): SecretsOf[P];
  /** The versioned keys that were opened, by the file they come from: one ring per file, whoever asked for it. */
  readonly rings: ReadonlyMap<string, KeyRing>;
}

/**
 * Reads the secret files of the given planes, once. The embedded start (no DATABASE_URL) and `init` (`create`) make what is
 * missing first: the directory with 0700, files with 0600; where data exist already, a missing file they depend on is
 * `unavailable` instead. A missing file, one that others may read, or one of another form is one line naming it.
 */
export function openSecrets(
  config: Config,
  planes: readonly SecretHolder[],
  options: { create?: boolean } = {},
): Secrets {
  const { secretsDir, caSecretsDir, home, databaseUrl } = config;
  const embedded = databaseUrl === undefined;
  if (options.create ?? embedded) {
    createSecretFiles(secretsDir, embedded && existsSync(path.join(home, 'pg')), caSecretsDir);
  }
  const files = new SecretFiles(secretsDir, caSecretsDir);
  const opened: Partial<SecretsOf> = {};
  for (const plane of planes) Object.assign(opened, { [plane]: READERS[plane](files) });
  return {
    of<P extends SecretHolder>(plane: P): SecretsOf[P] {
      const secrets: SecretsOf[P] | undefined = opened[plane];
      if (secrets === undefined) throw new AuthorityError('internal', `The secrets of plane ${plane} were not opened`);
      return secrets;
    },
    rings: files.rings,
  };
}

class SecretFiles {
  readonly rings = new Map<string, KeyRing>();

  constructor(
    readonly directory: string,
    private readonly caDirectory: string,
  ) {}

  ring(name: VersionedSecret, plane: string): KeyRing {
    const directory = name === 'ca.kek' ? this.caDirectory : this.directory;
    const file = path.join(directory, name);
    const ring = this.rings.get(file) ?? readRing(directory, name, plane);
    this.rings.set(file, ring);
    return ring;
  }
}

function readOidc(directory: string): ApiSecrets['oidc'] {
  const file = path.join(directory, 'oidc.json');
  return existsSync(file) ? { file, text: readText(directory, 'oidc.json', 'api') } : undefined;
}

/** Who holds what: this table is the only place where a plane is given a file. */
const READERS: { [P in SecretHolder]: (files: SecretFiles) => SecretsOf[P] } = {
  api: (files) => ({
    peppers: files.ring('pepper', 'api'),
    rootsPublicKey: readKey(files.directory, 'roots.pub', 'api'),
    transportPublicKey: readKey(files.directory, 'transport.pub', 'api'),
    statusMacKey: readKey(files.directory, 'status.mac', 'api'),
    apiKek: files.ring('api.kek', 'api'),
    tlsKey: readTlsKey(files.directory, 'api'),
    databasePassword: readText(files.directory, 'db-api', 'api'),
    oidc: readOidc(files.directory),
  }),
  est: (files) => ({
    peppers: files.ring('pepper', 'est'),
    transportPrivateKey: readKey(files.directory, 'transport.key', 'est'),
    statusMacKey: readKey(files.directory, 'status.mac', 'est'),
    tlsKey: readTlsKey(files.directory, 'est'),
    databasePassword: readText(files.directory, 'db-est', 'est'),
  }),
  responder: (files) => ({
    ocspKek: files.ring('ocsp.kek', 'responder'),
    statusMacKey: readKey(files.directory, 'status.mac', 'responder'),
    databasePassword: readText(files.directory, 'db-responder', 'responder'),
  }),
  worker: (files) => ({
    peppers: files.ring('pepper', 'worker'),
    ocspKek: files.ring('ocsp.kek', 'worker'),
    feedKek: files.ring('feed.kek', 'worker'),
    auditKek: files.ring('audit.kek', 'worker'),
    apiKek: files.ring('api.kek', 'worker'),
    rootsPrivateKey: readKey(files.directory, 'roots.key', 'worker'),
    statusMacKey: readKey(files.directory, 'status.mac', 'worker'),
    databasePassword: readText(files.directory, 'db-worker', 'worker'),
  }),
  signer: (files) => ({
    caKek: files.ring('ca.kek', 'signer'),
    databasePassword: readText(files.directory, 'db-signer', 'signer'),
  }),
  signerService: (files) => ({
    statusMacKey: readKey(files.directory, 'status.mac', 'signer'),
    authKeys: files.ring('signer.auth', 'signer'),
  }),
  signerClient: (files) => ({ authKeys: files.ring('signer.auth', 'signing') }),
  migrate: (files) => ({
    databasePasswords: {
      api: readText(files.directory, 'db-api', 'migrate'),
      est: readText(files.directory, 'db-est', 'migrate'),
      responder: readText(files.directory, 'db-responder', 'migrate'),
      worker: readText(files.directory, 'db-worker', 'migrate'),
      signer: readText(files.directory, 'db-signer', 'migrate'),
    },
    superuserPassword: existsSync(path.join(files.directory, 'db-superuser'))
      ? readText(files.directory, 'db-superuser', 'migrate')
      : undefined,
  }),
};
