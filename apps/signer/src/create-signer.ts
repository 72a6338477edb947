import { GuardedSigner, type SignerContext } from '#authority';
import { SignerServer, type Signer } from '#signing';

export interface SignerDeps {
  /** Holds the keys; asked only for what the checks let pass. */
  keys: Signer;
  context: SignerContext;
  /** `secrets/signer.auth`, 32 bytes. */
  authKey: Buffer;
  socket: string;
}

export interface SignerService {
  listen(): Promise<void>;
  /** Answers what is under way, within 5 s. */
  stop(): Promise<void>;
}

/** The signer plane: the CA keys behind their checks, behind a Unix socket. It listens when it is told to. */
export function createSigner({ keys, context, authKey, socket }: SignerDeps): SignerService {
  const server = new SignerServer(new GuardedSigner(keys, context), authKey, context.log);
  return { listen: () => server.listen(socket), stop: () => server.stop() };
}
