import { createSecretKey } from 'node:crypto';
import { createResponder, responderReadiness } from '#apps/responder';
import { formatVerifierKey, readAuditVerifier } from '#audit';
import { renewalAdvice } from '#authority';
import { systemClock } from '#kernel';
import { describePolicy } from './describe-policy.js';
import type { PlaneOptions, RunningPlane } from './plane.js';
import { openPlaneDatabase, startFollower } from './plane-context.js';

export async function startStatus(options: PlaneOptions): Promise<RunningPlane> {
  const { config, secrets, urls } = options;
  const log = options.log.child({ plane: 'status' });
  const { ocspKek, statusMacKey } = secrets.of('responder');
  const database = await openPlaneDatabase(options, 'responder');
  const macKey = createSecretKey(statusMacKey);
  const audit = await database.transaction(readAuditVerifier);
  const follower = await startFollower(options, { database, macKey, peppers: undefined }, log);
  const view = { lifetimes: config.lifetimes, follower };
  options.metrics.watch('status', { database, follower });
  const nest = await createResponder({
    config,
    database,
    follower,
    ocspKek,
    clock: systemClock,
    log,
    renewal: (serial) => renewalAdvice({ clock: systemClock, database, macKey, follower, log }, undefined, serial),
    discovery: () => ({
      planes: { ...urls, api: config.apiUrl ?? urls.api },
      ...describePolicy(view),
      ...(audit && { audit: { origin: audit.name, verifierKey: formatVerifierKey(audit) } }),
    }),
  });
  return {
    app: { listener: 'status', nest },
    readiness: async () => responderReadiness(nest),
    stop: async () => {
      await nest.close();
      await follower.stop();
      await database.close();
    },
  };
}
