import type { AuthorityContext } from '#authority';
import type { Config } from '#kernel';
import { currentServerTls, type ServerTls } from './server-tls.js';
import { writeRoot } from './write-root.js';

const MINUTE_MS = 60_000;

/**
 * Looks each minute whether the server's certificate is due, or another CA issues now (oftener where certificates are
 * short-lived: ten times within the time left for renewal), and swaps it without a restart. Returns how to end that.
 */
export function keepTlsFresh(
  config: Config,
  authority: AuthorityContext,
  plane: 'api' | 'est',
  key: string,
  swap: (tls: ServerTls) => void,
): () => void {
  const check = async () => {
    const { tls, renewed } = await currentServerTls(config, authority, plane, key);
    if (!renewed) return;
    swap(tls);
    await writeRoot(config, authority);
    authority.log.info('TLS server certificate renewed');
  };
  const timer = setInterval(
    () => {
      check().catch((err: unknown) => authority.log.error({ err }, 'the TLS server certificate could not be renewed'));
    },
    Math.min(MINUTE_MS, config.lifetimes.serverCertificateRenew * 100),
  );
  timer.unref();
  return () => clearInterval(timer);
}
