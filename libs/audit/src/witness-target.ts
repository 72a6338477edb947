import path from 'node:path';
import { AuthorityError } from '#kernel';
import { COSIGNATURE_V1, parseVerifierKey, type NoteKey } from './signed-note.js';

/** Where checkpoints go, one of TOUCHMARK_AUDIT_WITNESSES. */
export type WitnessTarget = {
  /** As recorded and logged: without what a URL may hold of a secret. */
  name: string;
  /** Whoever can change the database and this machine's own files cannot change what lies there. */
  independent: boolean;
} & ({ kind: 'file'; path: string } | { kind: 'webhook'; url: URL } | { kind: 'witness'; url: URL; verifier: NoteKey });

/** How many independent places a checkpoint should go to. */
export const WANTED_WITNESSES = 2;

/**
 * `file:<path>`, `webhook:<url>`, `witness:<submission prefix>#<verifier key>`; https, or http on this machine. Files inside
 * `home` are not independent. Throws `invalid`, member TOUCHMARK_AUDIT_WITNESSES.
 */
export function parseWitnesses(texts: readonly string[], home: string): WitnessTarget[] {
  const targets = texts.map((text) => parseWitness(text, home));
  const twice = targets.find(({ name }, i) => targets.findIndex((one) => one.name === name) !== i);
  if (twice !== undefined) throw refused(`${twice.name} stands there twice`);
  return targets;
}

/** One line where checkpoints go to fewer independent places than they should, else undefined. */
export function witnessWarning(targets: readonly WitnessTarget[]): string | undefined {
  const count = targets.filter(({ independent }) => independent).length;
  if (count >= WANTED_WITNESSES) return undefined;
  return (
    `Audit checkpoints go to ${count} independent place${count === 1 ? '' : 's'}, not ${WANTED_WITNESSES}: whoever holds ` +
    'this machine can rewrite history. Set TOUCHMARK_AUDIT_WITNESSES (docs/AUDIT.md).'
  );
}

function parseWitness(text: string, home: string): WitnessTarget {
  const colon = text.indexOf(':');
  const kind = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  switch (kind) {
    case 'file':
      return fileTarget(rest, home);
    case 'webhook': {
      const url = parseUrl(rest);
      return { kind, name: `webhook:${url.host}${url.pathname}`, independent: !isLocal(url), url };
    }
    case 'witness': {
      const [prefix = '', ...key] = rest.split('#');
      const url = parseUrl(prefix.replace(/\/+$/, ''));
      const verifier = parseVerifierKey(key.join('#'));
      if (verifier.type !== COSIGNATURE_V1) throw refused(`${verifier.name} has no key for cosignatures (type 4)`);
      return { kind, name: verifier.name, independent: !isLocal(url), url, verifier };
    }
    default:
      throw refused(`"${kind}" is none of file, webhook and witness`);
  }
}

function fileTarget(given: string, home: string): WitnessTarget {
  if (!path.isAbsolute(given)) throw refused(`"${given}" is not an absolute path`);
  const file = path.resolve(given);
  const inside = !path.relative(path.resolve(home), file).startsWith('..');
  return { kind: 'file', name: `file:${file}`, independent: !inside, path: file };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const usable = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLocal(url));
  if (url === undefined || !usable || url.username !== '' || url.password !== '') {
    throw refused('each URL is https (http on this machine) and names no user');
  }
  return url;
}

const isLocal = ({ hostname }: URL): boolean => ['localhost', '127.0.0.1', '[::1]'].includes(hostname);

const refused = (why: string) =>
  new AuthorityError('invalid', `TOUCHMARK_AUDIT_WITNESSES: ${why}`, { member: 'TOUCHMARK_AUDIT_WITNESSES' });
