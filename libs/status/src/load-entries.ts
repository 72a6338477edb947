import { createHash, type KeyObject } from 'node:crypto';
import { openVerifier, type Pepper } from '#credential';
import { AuthorityError, isAuthorityError } from '#kernel';
import { isRole } from '#policy';
import {
  findKeys,
  findOperatorTokens,
  findPeople,
  findPolicyDocuments,
  type PolicyDocumentKind,
  type StatusRow,
  type Tx,
} from '#store';
import type { KeyEntry, PersonEntry, TokenEntry } from './index-entries.js';
import {
  checkRowMac,
  keyRowMac,
  keySealContext,
  personRowMac,
  policyDocumentMac,
  tokenRowMac,
  tokenSealContext,
} from './row-mac.js';
import type { StatusIndex } from './status-index.js';

/** Entries by id, loaded for the rows of one batch. */
export interface LoadedEntries {
  keys: ReadonlyMap<string, KeyEntry>;
  tokens: ReadonlyMap<string, TokenEntry>;
  people: ReadonlyMap<string, PersonEntry>;
  /** Parsed JSON, by `documentVersion`. */
  documents: ReadonlyMap<string, unknown>;
}

interface LoadOptions {
  macKey: KeyObject;
  /** undefined: this plane checks neither keys nor tokens, and loads none of them. */
  peppers: ReadonlyMap<number, Pepper> | undefined;
  /** False: no tokens of operators. */
  tokens?: boolean;
  onError: (error: Error) => void;
}

/**
 * What the index does not hold yet of the keys, tokens and people that `rows` are about, each row checked by its MAC. A
 * forged one must not take the others down: it is reported and left out, so that its credential is unknown.
 */
export async function loadEntries(
  tx: Tx,
  rows: readonly StatusRow[],
  index: Pick<StatusIndex, 'key' | 'token' | 'person'>,
  options: LoadOptions,
): Promise<LoadedEntries> {
  const { macKey, peppers } = options;
  const loaded = {
    keys: new Map<string, KeyEntry>(),
    tokens: new Map<string, TokenEntry>(),
    people: new Map<string, PersonEntry>(),
    documents: await loadDocuments(tx, rows, options),
  };
  if (peppers === undefined) return loaded;
  const missing = (kind: 'key' | 'token' | 'person'): string[] => {
    const unknown = rows.filter((row) => row.kind === kind && index[kind](row.subject) === undefined);
    return [...new Set(unknown.map((row) => row.subject))];
  };
  for (const row of await some(missing('key'), (ids) => findKeys(tx, ids))) {
    believe(options, `key ${row.id}`, () => {
      checkRowMac(row.mac, keyRowMac(macKey, row), `key ${row.id}`);
      const verifier = openVerifier(pepperOf(peppers, row.pepperVersion), row.sealedVerifier, keySealContext(row));
      loaded.keys.set(row.id, { ...row, verifier, reason: null, seq: 0 });
    });
  }
  const wanted = options.tokens === false ? [] : missing('token');
  for (const row of await some(wanted, (ids) => findOperatorTokens(tx, ids))) {
    believe(options, `operator token ${row.id}`, () => {
      checkRowMac(row.mac, tokenRowMac(macKey, row), `operator token ${row.id}`);
      const verifier = openVerifier(pepperOf(peppers, row.pepperVersion), row.sealedVerifier, tokenSealContext(row));
      const roles = row.roles.filter(isRole);
      loaded.tokens.set(row.id, { ...row, roles, verifier, status: 'pending', endsAt: null, seq: 0 });
    });
  }
  for (const row of await some(missing('person'), (ids) => findPeople(tx, ids))) {
    believe(options, `person ${row.id}`, () => {
      checkRowMac(row.mac, personRowMac(macKey, row), `person ${row.id}`);
      const { id, organizationId, name } = row;
      loaded.people.set(id, { id, organizationId, name, status: 'active', roles: new Set(), seq: 0 });
    });
  }
  return loaded;
}

const DOCUMENT_KINDS: readonly string[] = ['profile', 'label', 'anchors'] satisfies PolicyDocumentKind[];

/** The version that a row of the log announces; one name for row and document. */
export const documentVersion = (row: Pick<StatusRow, 'kind' | 'subject' | 'status'>): string =>
  `${row.kind} ${row.subject} ${row.status}`;

/** What is stored must be what was announced: by its MAC and by the SHA-256 that stands in the log. */
async function loadDocuments(tx: Tx, rows: readonly StatusRow[], options: LoadOptions): Promise<Map<string, unknown>> {
  const announced = new Map(
    rows.filter((row) => DOCUMENT_KINDS.includes(row.kind)).map((row) => [documentVersion(row), row]),
  );
  const loaded = new Map<string, unknown>();
  if (announced.size === 0) return loaded;
  const wanted = [...announced.values()].map((row) => ({ kind: row.kind as PolicyDocumentKind, name: row.subject }));
  for (const row of await findPolicyDocuments(tx, wanted)) {
    const version = documentVersion({ kind: row.kind, subject: row.name, status: `v${row.version}` });
    const logged = announced.get(version);
    if (logged === undefined) continue;
    believe(options, version, () => {
      checkRowMac(row.mac, policyDocumentMac(options.macKey, row), version);
      if (createHash('sha256').update(row.document).digest('hex') !== logged.reason) {
        throw new AuthorityError('internal', `${version} is not what was announced`, { code: 'rowMac' });
      }
      loaded.set(version, JSON.parse(row.document.toString('utf8')));
    });
  }
  return loaded;
}

async function some<T>(ids: string[], find: (ids: string[]) => Promise<T[]>): Promise<T[]> {
  return ids.length === 0 ? [] : find(ids);
}

function believe({ onError }: LoadOptions, what: string, load: () => void): void {
  try {
    load();
  } catch (error) {
    if (!isAuthorityError(error, 'internal')) throw error;
    onError(new Error(`${what} is not believed and left out`, { cause: error }));
  }
}

function pepperOf(peppers: ReadonlyMap<number, Pepper>, version: number): Pepper {
  const pepper = peppers.get(version);
  if (!pepper)
    throw new AuthorityError('internal', `secrets/pepper lacks version ${version}`, { code: 'pepperMissing' });
  return pepper;
}
