import { createHash, createPublicKey, verify } from 'node:crypto';
import { expectThat, type Telling } from '../narrator.js';
import { send } from '../send.js';
import { member, until, type Workbench } from '../workbench.js';

const NODE_CRYPTO = "Node's own crypto";
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const SEALED_WITHIN_MS = 10_000;

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

/** RFC 6962 section 2.1, written anew here: what judges the log must not be what made it. */
function rootOf(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), only);
  const split = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
  return sha256(Buffer.of(1), rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

/** The trail is a signed tree: its checkpoint, its lines, and what becomes of them when one is edited. */
export async function proveAudit({ urls, api, clock }: Workbench, { fact, verified }: Telling): Promise<void> {
  const discovery = await send(`${urls.status}/.well-known/touchmark`, {});
  const verifierKey = member(JSON.parse(discovery.body.toString()), 'audit.verifierKey');
  const { items } = (await api.get('/v1/audit/events', { limit: '1' })) as { items: { id: string }[] };
  await until(clock, clock.monotonicMs(), SEALED_WITHIN_MS, 'the newest entry is sealed', async () => {
    const proof = await api.get('/v1/audit/proof', { event: items[0]?.id }).catch(() => undefined);
    return proof !== undefined;
  });
  const note = await api.text('/v1/audit/checkpoint');
  const [text = '', signatures = ''] = note.split('\n\n');
  const [origin = '', size = '', root = ''] = text.split('\n');
  fact(`checkpoint of ${origin}: ${size} entries, root ${root}`);

  // <name>+<key id>+<base64>, which may hold a plus itself.
  const raw = Buffer.from(verifierKey.split('+').slice(2).join('+'), 'base64').subarray(1);
  const key = createPublicKey({ key: Buffer.concat([ED25519_SPKI, raw]), format: 'der', type: 'spki' });
  const signature = Buffer.from(signatures.split('\n')[0]?.split(' ')[2] ?? '', 'base64').subarray(4);
  expectThat(verify(null, Buffer.from(`${text}\n`), key, signature), 'the signature of the checkpoint does not hold');
  verified('the checkpoint is signed by the key that the status plane names', NODE_CRYPTO);

  const chunks: Buffer[] = [];
  for await (const chunk of api.download('/v1/audit/export', { size })) chunks.push(chunk);
  const lines = Buffer.concat(chunks).toString().split('\n').slice(0, -1);
  expectThat(String(lines.length) === size, `the export has ${lines.length} lines, the checkpoint ${size} entries`);
  const computed = rootOf(lines.map((line) => Buffer.from(line))).toString('base64');
  expectThat(computed === root, 'the lines of the export are not what was signed');
  verified(`${size} lines of the export give exactly that root`, NODE_CRYPTO);

  const edited = lines.with(3, (lines[3] ?? '').replace('success', 'refused'));
  expectThat(rootOf(edited.map((line) => Buffer.from(line))).toString('base64') !== root, 'an edit went unnoticed');
  verified('with one word of one line edited they do not', NODE_CRYPTO);
}
