/*
 * The process that holds a PKCS#11 token open, started by token.ts. The maker's library runs here and nowhere else: it may
 * block, crash or be killed without anybody else noticing more than a request without an answer. It knows no way back from
 * a failure: it says what happened and ends, and the next request starts a new one.
 *
 * Imports nothing of ours, so that it runs from its source as well.
 */
import type { TokenBinding } from './token-binding.js';
import type { TokenReply, TokenRequest } from './token-messages.js';

type Handle = Buffer;
type Open = Extract<TokenRequest, { op: 'open' }>;
type Sign = Extract<TokenRequest, { op: 'sign' }>;
type Generate = Extract<TokenRequest, { op: 'generate' }>;

/** Not written into the import: the compiler would look for a package that may be missing. */
const BINDING: string = 'pkcs11js';

/** Longest: RSA-8192; ECDSA P-521 has 132 octets. */
const MAX_SIGNATURE = 1024;

class OwnError extends Error {}

interface Session {
  binding: TokenBinding;
  module: InstanceType<TokenBinding['PKCS11']>;
  free: Handle[];
  waiting: ((session: Handle) => void)[];
  keys: Map<string, Handle>;
}

let opened: Session | undefined;

async function loadBinding(): Promise<TokenBinding> {
  try {
    const loaded = (await import(BINDING)) as TokenBinding & { default?: TokenBinding };
    return loaded.default ?? loaded;
  } catch {
    throw new OwnError('NO_BINDING');
  }
}

async function open(request: Open): Promise<void> {
  const binding = await loadBinding();
  const module = new binding.PKCS11();
  module.load(request.module);
  module.C_Initialize({ flags: binding.CKF_OS_LOCKING_OK });
  const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trim() === request.token);
  if (slot === undefined) throw new OwnError('NO_TOKEN');
  // A wrong PIN costs one of few tries; the last one is a person's.
  if ((module.C_GetTokenInfo(slot).flags & binding.CKF_USER_PIN_FINAL_TRY) !== 0) throw new OwnError('PIN_LAST_TRY');
  const flags = binding.CKF_SERIAL_SESSION | binding.CKF_RW_SESSION;
  const free = Array.from({ length: request.sessions }, () => module.C_OpenSession(slot, flags));
  // Logged in once, for all sessions of this process.
  module.C_Login(free[0]!, binding.CKU_USER, request.pin);
  opened = { binding, module, free, waiting: [], keys: new Map() };
}

function require(): Session {
  if (opened === undefined) throw new OwnError('NO_TOKEN');
  return opened;
}

/** Runs `work` with a session that nobody else uses meanwhile. */
async function withSession<T>(s: Session, work: (session: Handle) => Promise<T>): Promise<T> {
  const session = s.free.pop() ?? (await new Promise<Handle>((resolve) => s.waiting.push(resolve)));
  try {
    return await work(session);
  } finally {
    const next = s.waiting.shift();
    if (next) next(session);
    else s.free.push(session);
  }
}

function findKey(s: Session, session: Handle, key: string): Handle {
  const known = s.keys.get(key);
  if (known !== undefined) return known;
  const { binding, module } = s;
  module.C_FindObjectsInit(session, [
    { type: binding.CKA_CLASS, value: binding.CKO_PRIVATE_KEY },
    { type: binding.CKA_ID, value: Buffer.from(key, 'hex') },
  ]);
  const found = module.C_FindObjects(session);
  module.C_FindObjectsFinal(session);
  if (found === null) throw new OwnError('NO_KEY');
  s.keys.set(key, found);
  return found;
}

function sign(request: Sign): Promise<Uint8Array> {
  const s = require();
  const mechanism = request.mechanism === 'rsa' ? s.binding.CKM_RSA_PKCS : s.binding.CKM_ECDSA;
  return withSession(s, async (session) => {
    s.module.C_SignInit(session, { mechanism }, findKey(s, session, request.key));
    return s.module.C_SignAsync(session, Buffer.from(request.data), Buffer.alloc(MAX_SIGNATURE));
  });
}

/** Sensitive, never extractable, and good for nothing but signing. */
async function generate(request: Generate): Promise<Partial<TokenReply>> {
  const s = require();
  const { binding: b, module } = s;
  const common = [
    { type: b.CKA_TOKEN, value: true },
    { type: b.CKA_ID, value: Buffer.from(request.key, 'hex') },
    { type: b.CKA_LABEL, value: request.label },
  ];
  const { bits } = request;
  const rsa = bits !== undefined;
  const publicKey = [
    ...common,
    { type: b.CKA_VERIFY, value: true },
    ...(rsa
      ? [
          { type: b.CKA_MODULUS_BITS, value: bits },
          { type: b.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
        ]
      : [{ type: b.CKA_EC_PARAMS, value: Buffer.from(request.curve ?? []) }]),
  ];
  const forbidden = [b.CKA_EXTRACTABLE, b.CKA_UNWRAP, b.CKA_DECRYPT, b.CKA_DERIVE];
  const privateKey = [
    ...common,
    { type: b.CKA_PRIVATE, value: true },
    { type: b.CKA_SENSITIVE, value: true },
    { type: b.CKA_SIGN, value: true },
    ...forbidden.map((type) => ({ type, value: false })),
  ];
  const mechanism = rsa ? b.CKM_RSA_PKCS_KEY_PAIR_GEN : b.CKM_EC_KEY_PAIR_GEN;
  return withSession(s, async (session) => {
    const pair = await module.C_GenerateKeyPairAsync(session, { mechanism }, publicKey, privateKey);
    const wanted = rsa ? [b.CKA_MODULUS, b.CKA_PUBLIC_EXPONENT] : [b.CKA_EC_POINT];
    const values = module.C_GetAttributeValue(
      session,
      pair.publicKey,
      wanted.map((type) => ({ type })),
    );
    const [first, second] = values.map((one) => one.value);
    return rsa ? { modulus: first!, exponent: second! } : { point: first! };
  });
}

async function answer(request: TokenRequest): Promise<TokenReply> {
  switch (request.op) {
    case 'open':
      await open(request);
      return { id: request.id, ok: true };
    case 'sign':
      return { id: request.id, ok: true, signature: await sign(request) };
    case 'generate':
      return { ...(await generate(request)), id: request.id, ok: true } as TokenReply;
  }
}

/** The text of a PKCS#11 error holds names of our files and of the library; its code says enough. */
function nameOf(error: unknown): string {
  if (error instanceof OwnError) return error.message;
  return /CKR_[A-Z0-9_]+/.exec(String((error as Error).message))?.[0] ?? 'CKR_GENERAL_ERROR';
}

process.on('message', (request: TokenRequest) => {
  answer(request).then(
    (reply) => process.send?.(reply),
    (error: unknown) => {
      const rv = nameOf(error);
      // A key that is not there is an answer; anything else leaves nothing to rely on.
      process.send?.({ id: request.id, ok: false, rv }, () => rv === 'NO_KEY' || process.exit(1));
    },
  );
});
process.on('disconnect', () => process.exit(0));
