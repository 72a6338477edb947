import { GuardedSigner, type SignerContext } from '#authority';
import type { KeyRing } from '#credential';
import { SignerServer, type Signer } from '#signing';

export interface SignerDeps {
  /** Holds the keys; asked only for what the checks let pass. */
  keys: Signer;
  context: SignerContext;
  /** `secrets/signer.auth`. */
  authKeys: KeyRing;
  socket: string;
}

export interface SignerService {
  listen(): Promise<void>;
  /** Answers what is under way, within 5 s. */
  stop(): Promise<void>;
}

/** The signer plane: the CA keys behind their checks, behind a Unix socket. It listens when it is told to. */
export function createSigner({ keys, context, authKeys, socket }: SignerDeps): SignerService {
  const server = new SignerServer(new GuardedSigner(keys, context), authKeys, context.log);
  return { listen: () => server.listen(socket), stop: () => server.stop() };
}
