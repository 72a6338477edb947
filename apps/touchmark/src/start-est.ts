import { createEst, listenForProxy, renewTls } from '#apps/est';
import type { PlaneOptions, RunningPlane } from './plane.js';
import { onPlane, type PlaneContext } from './plane-context.js';
import { noteTlsEnd } from './process-metrics.js';
import { planeReadiness } from './readiness.js';
import { keepTlsFresh } from './keep-tls-fresh.js';
import { currentServerTls } from './server-tls.js';

export const startEst = (options: PlaneOptions): Promise<RunningPlane> =>
  onPlane(options, 'est', (plane) => runEst(options, plane));

async function runEst(options: PlaneOptions, plane: PlaneContext): Promise<RunningPlane> {
  const { config, secrets, registry, metrics } = options;
  const { authority } = plane;
  const { tlsKey } = secrets.of('est');
  const { tls } = await currentServerTls(config, authority, 'est', tlsKey);
  noteTlsEnd(registry, 'est', tls.notAfter);
  metrics.watch('est', plane);
  const nest = await createEst({
    config,
    authority,
    tls,
    cacerts: () => authority.issuers.cacerts(authority.clock.now()),
    registry,
    log: authority.log,
    readiness: () => planeReadiness(plane),
    degraded: plane.degraded,
  });
  const { socket } = config.estProxies;
  const stopSocket = socket === undefined ? undefined : await listenForProxy(nest, socket);
  const stopRenewing = keepTlsFresh(config, authority, 'est', tlsKey, (renewed) => {
    renewTls(nest, renewed);
    noteTlsEnd(registry, 'est', renewed.notAfter);
  });
  return {
    app: { listener: 'est', nest },
    readiness: () => planeReadiness(plane),
    degraded: plane.degraded,
    stop: async () => {
      stopRenewing();
      await Promise.all([stopSocket?.(), nest.close()]);
      await plane.close();
    },
  };
}
