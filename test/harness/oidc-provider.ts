import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';
import { call, type Reply } from './http.js';

export interface TestAccount {
  sub: string;
  claims: Record<string, unknown>;
}

/** A real OpenID provider on loopback whose users answer at once: who signs in is `user` at that moment. */
export interface TestOidcProvider {
  issuer: string;
  clientId: string;
  clientSecret: string;
  user: TestAccount;
  /** Changes what the token endpoint answers. */
  tamper: ((body: string) => string) | undefined;
  /** Follows the redirects from the authorization request to the callback, as a browser does; answers its URL. */
  browse(authorizationUrl: string): Promise<URL>;
  stop(): Promise<void>;
}

export async function startOidcProvider(
  redirectUri: string,
  options: { claimsInIdToken?: boolean } = {},
): Promise<TestOidcProvider> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = { clientId: 'touchmark', clientSecret: 'secret-of-the-client-of-this-test' };
  const made: TestOidcProvider = {
    issuer,
    ...client,
    user: { sub: 'nobody', claims: {} },
    tamper: undefined,
    browse: (url) => browse(url, redirectUri),
    stop: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
  const provider = new Provider(issuer, {
    clients: [{ client_id: client.clientId, client_secret: client.clientSecret, redirect_uris: [redirectUri] }],
    conformIdTokenClaims: options.claimsInIdToken === false,
    claims: { openid: ['sub'], profile: ['name', 'touchmark_roles'], email: ['email', 'email_verified'] },
    findAccount: (_context, sub) => ({
      accountId: sub,
      claims: () => ({ ...made.user.claims, sub }),
    }),
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    cookies: { keys: ['a key of this test'] },
    pkce: { required: () => true },
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
  });
  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (request.url?.startsWith('/interaction/')) return void interact(provider, made, request, response);
    if (request.url === '/token' && made.tamper !== undefined) changeAnswer(response, made.tamper);
    void handle(request, response);
  });
  return made;
}

async function interact(
  provider: Provider,
  { user }: TestOidcProvider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: user.sub } });
  }
  const grant = new provider.Grant({ accountId: session!.accountId, clientId: String(params['client_id']) });
  grant.addOIDCScope('openid profile email');
  const grantId = await grant.save();
  await provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
}

function changeAnswer(response: ServerResponse, change: (body: string) => string): void {
  const end = response.end.bind(response);
  response.end = ((body: Buffer | string) => {
    const changed = change(String(body));
    response.setHeader('content-length', Buffer.byteLength(changed));
    return end(changed);
  }) as ServerResponse['end'];
}

async function browse(start: string, redirectUri: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let url = new URL(start);
  for (let hops = 0; hops < 12; hops++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const reply: Reply = await call(url.href, { headers: cookie === '' ? {} : { cookie } });
    for (const line of reply.headers['set-cookie'] ?? []) {
      const [name = '', value = ''] = line.split(';', 1)[0]!.split(/=(.*)/s);
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    const { location } = reply.headers;
    if (location === undefined) throw new Error(`the provider answers ${reply.status}: ${reply.text}`);
    url = new URL(location, url);
    if (url.href.startsWith(redirectUri)) return url;
  }
  throw new Error('the provider redirects in circles');
}
