import { createSecretKey } from 'node:crypto';
import { createSigner } from '#apps/signer';
import { IssuerDirectory } from '#authority';
import { systemClock } from '#kernel';
import { localSigner, openToken } from './local-signer.js';
import type { PlaneOptions, RunningPlane } from './plane.js';
import { openPlaneDatabase, startFollower } from './plane-context.js';

type SignerParts = Pick<PlaneOptions, 'config' | 'server' | 'secrets' | 'log'>;

/** One listens to the status log; the others look up what is to be signed. */
const POOL_SIZE = 8;

/** The signer plane. Resolves when it listens on its socket. */
export async function startSigner(options: SignerParts): Promise<RunningPlane> {
  const { config, secrets } = options;
  const log = options.log.child({ plane: 'signer' });
  const { statusMacKey, authKeys } = secrets.of('signerService');
  const macKey = createSecretKey(statusMacKey);
  const database = await openPlaneDatabase(options, 'signer', POOL_SIZE);
  const token = openToken(config, log);
  try {
    const follower = await startFollower(options, { database, macKey, peppers: undefined }, log);
    const issuers = new IssuerDirectory(database, follower, log);
    const { lifetimes } = config;
    const service = createSigner({
      keys: localSigner(config, database, secrets.of('signer').caKek, token),
      context: { database, clock: systemClock, macKey, follower, issuers, lifetimes, log },
      authKeys,
      socket: config.signer.socket,
    });
    await service.listen();
    log.info({ socket: config.signer.socket }, 'the signer listens');
    return {
      last: true,
      readiness: async () => (follower.broken ? ['status log: not believed'] : []),
      stop: async () => {
        await service.stop();
        token?.close();
        await follower.stop();
        await database.close();
      },
    };
  } catch (error) {
    token?.close();
    await database.close();
    throw error;
  }
}
