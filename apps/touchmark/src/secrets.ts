import { existsSync } from 'node:fs';
import path from 'node:path';
import { AuthorityError, type Config, type PlaneRole } from '#kernel';
import { createSecretFiles, readKey, readPeppers, readText, readTlsKey, type Peppers } from './secret-files.js';

export type { Peppers } from './secret-files.js';

/** 32 bytes each, unless the name says otherwise. */
export interface ApiSecrets {
  peppers: Peppers;
  /** X25519: seals derivation roots, opens none. */
  rootsPublicKey: Buffer;
  /** X25519: seals the symmetric keys of devices, opens none. */
  transportPublicKey: Buffer;
  statusMacKey: Buffer;
  /** Webhook and OpenID Connect client secrets. */
  apiKek: Buffer;
  /** PEM. */
  tlsKey: string;
  databasePassword: string;
  /** Text of oidc.json, where the host has one: who signs in by which issuer, with the secret of this client. */
  oidc: { file: string; text: string } | undefined;
}

export interface EstSecrets {
  peppers: Peppers;
  /** X25519: opens the symmetric keys of devices. */
  transportPrivateKey: Buffer;
  statusMacKey: Buffer;
  /** PEM. */
  tlsKey: string;
  databasePassword: string;
}

export interface ResponderSecrets {
  /** Opens delegated OCSP keys. */
  ocspKek: Buffer;
  statusMacKey: Buffer;
  databasePassword: string;
}

export interface WorkerSecrets {
  peppers: Peppers;
  ocspKek: Buffer;
  feedKek: Buffer;
  auditKek: Buffer;
  apiKek: Buffer;
  /** X25519: opens derivation roots. */
  rootsPrivateKey: Buffer;
  statusMacKey: Buffer;
  databasePassword: string;
}

export interface SignerSecrets {
  caKek: Buffer;
  databasePassword: string;
}

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
  migrate: MigrateSecrets;
}

export interface Secrets {
  /** What this plane holds and nothing else. `internal` when the plane was not among those opened. */
  of<P extends PlaneRole>(plane: P): SecretsOf[P];
}

/**
 * Reads the secret files of the given planes, once. The embedded start (no DATABASE_URL) and `init` (`create`) make what is
 * missing first: the directory with 0700, files with 0600; where data exist already, a missing file they depend on is
 * `unavailable` instead. A missing file, one that others may read, or one of another form is one line naming it.
 */
export function openSecrets(config: Config, planes: readonly PlaneRole[], options: { create?: boolean } = {}): Secrets {
  const { secretsDir, home, databaseUrl } = config;
  const embedded = databaseUrl === undefined;
  if (options.create ?? embedded) createSecretFiles(secretsDir, embedded && existsSync(path.join(home, 'pg')));
  const opened: Partial<SecretsOf> = {};
  for (const plane of planes) Object.assign(opened, { [plane]: READERS[plane](secretsDir) });
  return {
    of<P extends PlaneRole>(plane: P): SecretsOf[P] {
      const secrets: SecretsOf[P] | undefined = opened[plane];
      if (secrets === undefined) throw new AuthorityError('internal', `The secrets of plane ${plane} were not opened`);
      return secrets;
    },
  };
}

function readOidc(directory: string): ApiSecrets['oidc'] {
  const file = path.join(directory, 'oidc.json');
  return existsSync(file) ? { file, text: readText(directory, 'oidc.json', 'api') } : undefined;
}

/** Who holds what: this table is the only place where a plane is given a file. */
const READERS: { [P in PlaneRole]: (directory: string) => SecretsOf[P] } = {
  api: (directory) => ({
    peppers: readPeppers(directory, 'api'),
    rootsPublicKey: readKey(directory, 'roots.pub', 'api'),
    transportPublicKey: readKey(directory, 'transport.pub', 'api'),
    statusMacKey: readKey(directory, 'status.mac', 'api'),
    apiKek: readKey(directory, 'api.kek', 'api'),
    tlsKey: readTlsKey(directory, 'api'),
    databasePassword: readText(directory, 'db-api', 'api'),
    oidc: readOidc(directory),
  }),
  est: (directory) => ({
    peppers: readPeppers(directory, 'est'),
    transportPrivateKey: readKey(directory, 'transport.key', 'est'),
    statusMacKey: readKey(directory, 'status.mac', 'est'),
    tlsKey: readTlsKey(directory, 'est'),
    databasePassword: readText(directory, 'db-est', 'est'),
  }),
  responder: (directory) => ({
    ocspKek: readKey(directory, 'ocsp.kek', 'responder'),
    statusMacKey: readKey(directory, 'status.mac', 'responder'),
    databasePassword: readText(directory, 'db-responder', 'responder'),
  }),
  worker: (directory) => ({
    peppers: readPeppers(directory, 'worker'),
    ocspKek: readKey(directory, 'ocsp.kek', 'worker'),
    feedKek: readKey(directory, 'feed.kek', 'worker'),
    auditKek: readKey(directory, 'audit.kek', 'worker'),
    apiKek: readKey(directory, 'api.kek', 'worker'),
    rootsPrivateKey: readKey(directory, 'roots.key', 'worker'),
    statusMacKey: readKey(directory, 'status.mac', 'worker'),
    databasePassword: readText(directory, 'db-worker', 'worker'),
  }),
  signer: (directory) => ({
    caKek: readKey(directory, 'ca.kek', 'signer'),
    databasePassword: readText(directory, 'db-signer', 'signer'),
  }),
  migrate: (directory) => ({
    databasePasswords: {
      api: readText(directory, 'db-api', 'migrate'),
      est: readText(directory, 'db-est', 'migrate'),
      responder: readText(directory, 'db-responder', 'migrate'),
      worker: readText(directory, 'db-worker', 'migrate'),
      signer: readText(directory, 'db-signer', 'migrate'),
    },
    superuserPassword: existsSync(path.join(directory, 'db-superuser'))
      ? readText(directory, 'db-superuser', 'migrate')
      : undefined,
  }),
};
