import { createApi, parseOidcSettings, renewTls } from '#apps/api';
import type { PlaneOptions, RunningPlane } from './plane.js';
import { keepTlsFresh } from './keep-tls-fresh.js';
import { onPlane, type PlaneContext } from './plane-context.js';
import { noteTlsEnd } from './process-metrics.js';
import { planeReadiness } from './readiness.js';
import { currentServerTls } from './server-tls.js';
import { SINGLE_OPERATOR_WARNING } from './single-operator.js';

export const startApi = (options: PlaneOptions): Promise<RunningPlane> =>
  onPlane(options, 'api', (plane) => runApi(options, plane));

async function runApi(options: PlaneOptions, plane: PlaneContext): Promise<RunningPlane> {
  const { config, secrets, registry, metrics, urls } = options;
  const { authority } = plane;
  if (config.singleOperator) {
    authority.log.warn(SINGLE_OPERATOR_WARNING);
  }
  const { tlsKey, oidc } = secrets.of('api');
  const { tls } = await currentServerTls(config, authority, 'api', tlsKey);
  noteTlsEnd(registry, 'api', tls.notAfter);
  metrics.watch('api', plane);
  const nest = await createApi({
    config,
    authority,
    tls,
    registry,
    log: authority.log,
    readiness: () => planeReadiness(plane),
    degraded: plane.degraded,
    urls: () => urls,
    oidc: oidc && parseOidcSettings(oidc.text, oidc.file),
  });
  const stopRenewing = keepTlsFresh(config, authority, 'api', tlsKey, (renewed) => {
    renewTls(nest, renewed);
    noteTlsEnd(registry, 'api', renewed.notAfter);
  });
  return {
    app: { listener: 'api', nest },
    readiness: () => planeReadiness(plane),
    degraded: plane.degraded,
    stop: async () => {
      stopRenewing();
      await nest.close();
      await plane.close();
    },
  };
}
