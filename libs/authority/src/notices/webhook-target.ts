import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { CREDENTIAL_PATTERN } from '#credential';
import { AuthorityError, readNetworks } from '#kernel';
import { isPublicAddress } from './public-address.js';

/** Every address of a host name. Throws when there is none. */
export type Resolve = (host: string) => Promise<string[]>;

/** A URL that keeps the rules, and the addresses that were checked: the connection goes to one of these and nowhere else. */
export interface WebhookTarget {
  url: URL;
  addresses: readonly string[];
}

const MAX_URL = 2000;
const RESOLVE_MS = 5000;
const HTTPS_PORT = 443;
/** Below are the ports of other services, which must not be spoken to in somebody else's name. */
const FREE_PORTS_FROM = 1024;

const HOST_RULE = 'url: its host must be known and have public addresses only';

/** Asks the system's resolver. */
export const systemResolve: Resolve = async (host) => {
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
};

/** Decides where notices may be sent, when a webhook is made and again at each try: names change what they mean. */
export class WebhookGuard {
  private readonly allowed: BlockList;

  /** `allowedNetworks`: CIDR blocks that may be reached although they are not public, by HTTP too. */
  constructor(
    allowedNetworks: readonly string[],
    private readonly resolve: Resolve = systemResolve,
  ) {
    this.allowed = readNetworks(allowedNetworks, 'TOUCHMARK_WEBHOOK_NETWORKS');
  }

  /**
   * Throws `invalid` (code `webhookUrl`) for a URL that breaks a rule of form or whose host has an address that is neither
   * public nor allowed. The text is the same whether a name is unknown or private: names inside are nobody's to probe.
   */
  async check(text: string): Promise<WebhookTarget> {
    const url = readWebhookUrl(text);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const addresses = isIP(host) === 0 ? await this.resolved(host) : [host];
    const inside = addresses.length > 0 && addresses.every((address) => this.isAllowed(address));
    if (inside) return { url, addresses };
    if (url.protocol !== 'https:') throw refused('url: https, or http to a network that the operator has allowed');
    const port = url.port === '' ? HTTPS_PORT : Number(url.port);
    if (port !== HTTPS_PORT && port < FREE_PORTS_FROM) throw refused('url: port 443, or one from 1024 on');
    const usable = addresses.every((address) => isPublicAddress(address) || this.isAllowed(address));
    if (addresses.length === 0 || !usable) throw refused(HOST_RULE);
    return { url, addresses };
  }

  private isAllowed(address: string): boolean {
    const family = isIP(address);
    // An address with a zone (fe80::1%eth0) is one of this machine's own links.
    if (family === 0 || address.includes('%')) return false;
    return this.allowed.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }

  private async resolved(host: string): Promise<string[]> {
    const late = new AbortController();
    try {
      const timeout = wait(RESOLVE_MS, [], { signal: late.signal, ref: false });
      return await Promise.race([this.resolve(host), timeout.catch((): string[] => [])]);
    } catch {
      throw refused(HOST_RULE);
    } finally {
      late.abort();
    }
  }
}

/** The rules of form. What `new URL` would repair silently (spaces, line breaks, other scripts) is refused instead. */
export function readWebhookUrl(text: string): URL {
  if (text.length > MAX_URL || !/^[\x21-\x7e]+$/.test(text) || text.includes('\\')) {
    throw refused('url: at most 2000 visible ASCII characters');
  }
  if (!URL.canParse(text)) throw refused('url: not a URL');
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused('url: https only');
  if (url.username !== '' || url.password !== '' || /^[a-z]+:\/\/[^/?#]*@/i.test(text)) {
    throw refused('url: no user name or password; who sends is told by the signature');
  }
  if (text.includes('#')) throw refused('url: no fragment');
  if (url.port === '0' || url.hostname === '' || url.hostname.length > 253)
    throw refused('url: no usable host or port');
  if (CREDENTIAL_PATTERN.test(text))
    throw refused('url: it holds a credential of ours; replace that, it may be known now');
  return url;
}

function refused(detail: string): AuthorityError {
  return new AuthorityError('invalid', detail, { code: 'webhookUrl', member: 'url' });
}
