import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  COSIGNATURE_V1,
  EMPTY_ROOT,
  formatVerifierKey,
  noteKey,
  openCheckpoint,
  rawPublicKey,
  signatureLine,
  verifyConsistency,
  type NoteKey,
} from '#audit';

/** The witness side of C2SP tlog-witness, as its text tells it: one log, its state in memory. */
export interface TestWitness {
  url: string;
  /** `witness:<url>#<verifier key>`. */
  setting: string;
  key: NoteKey;
  /** The checkpoint that it cosigned last. */
  state: { size: number; root: Buffer };
  /** Requests that came, and what was answered. */
  seen: { old: number; size: number; status: number }[];
  /** Answers with this status, whatever comes. */
  failWith: number | undefined;
  /** Puts this in the place of its own cosignature. */
  forge: ((line: string) => string) | undefined;
  stop(): Promise<void>;
}

export async function startWitness(logKey: () => NoteKey, name = 'witness.example/w1'): Promise<TestWitness> {
  const pair = generateKeyPairSync('ed25519');
  const key = noteKey(name, COSIGNATURE_V1, rawPublicKey(pair.publicKey));
  const witness: TestWitness = {
    url: '',
    setting: '',
    key,
    state: { size: 0, root: EMPTY_ROOT },
    seen: [],
    failWith: undefined,
    forge: undefined,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };

  const answer = async (request: IncomingMessage): Promise<{ status: number; body: string; type?: string }> => {
    const body = await text(request);
    const [head = '', ...rest] = body.split('\n\n');
    const note = rest.join('\n\n');
    const [first = '', ...proofLines] = head.split('\n');
    const old = Number(/^old (0|[1-9]\d*)$/.exec(first)?.[1] ?? NaN);
    const proof = proofLines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
    if (request.method !== 'POST' || request.url !== '/add-checkpoint' || Number.isNaN(old) || proof.length > 63) {
      return { status: 400, body: '' };
    }
    let checkpoint;
    try {
      checkpoint = openCheckpoint(note, logKey());
    } catch {
      return { status: 403, body: '' };
    }
    const { size, root } = checkpoint;
    const told = (status: number, reply = '', type?: string) => {
      witness.seen.push({ old, size, status });
      return { status, body: reply, ...(type === undefined ? {} : { type }) };
    };
    if (witness.failWith !== undefined) return told(witness.failWith);
    if (old > size) return told(400);
    if (old !== witness.state.size) return told(409, `${witness.state.size}\n`, 'text/x.tlog.size');
    if (old === size && !root.equals(witness.state.root)) return told(409);
    if (old === 0 ? proof.length > 0 : !verifyConsistency(old, size, proof, witness.state.root, root)) return told(422);
    witness.state = { size, root };
    const stamp = Buffer.alloc(8);
    stamp.writeBigUInt64BE(1_800_000_000n);
    const signed = sign(null, Buffer.from(`cosignature/v1\ntime 1800000000\n${checkpoint.note.text}`), pair.privateKey);
    const line = signatureLine(key, Buffer.concat([stamp, signed]));
    return told(200, `${witness.forge?.(line) ?? line}\n`);
  };

  const server = createServer((request, response) => {
    void answer(request).then(({ status, body, type = 'text/plain' }) =>
      response.writeHead(status, { 'content-type': type }).end(body),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  witness.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  witness.setting = `witness:${witness.url}#${formatVerifierKey(key)}`;
  return witness;
}
