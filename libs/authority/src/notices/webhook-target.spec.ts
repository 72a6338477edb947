import { describe, expect, test } from '@jest/globals';
import { isAuthorityError } from '#kernel';
import { isPublicAddress } from './public-address.js';
import { WebhookGuard } from './webhook-target.js';

/** Names as a resolver would answer them. */
const NAMES: Readonly<Record<string, string[]>> = {
  'public.example': ['8.8.8.8', '2606:4700::1111'],
  'private.example': ['10.1.2.3'],
  'mixed.example': ['8.8.8.8', '127.0.0.1'],
  'mixed6.example': ['2606:4700::1111', '::1'],
  'mapped.example': ['::ffff:10.0.0.1'],
  'zone.example': ['fe80::1%eth0'],
  'empty.example': [],
  'nonsense.example': ['not an address'],
  'metadata.example': ['169.254.169.254'],
};

const resolve = (host: string): Promise<string[]> => {
  const known = NAMES[host.toLowerCase().replace(/\.$/, '')];
  return known === undefined ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(known);
};
const guard = new WebhookGuard([], resolve);

const refusalOf = async (url: string, by = guard): Promise<string | undefined> => {
  try {
    await by.check(url);
    return undefined;
  } catch (error) {
    if (!isAuthorityError(error, 'invalid')) throw error;
    expect(error).toMatchObject({ code: 'webhookUrl', member: 'url' });
    return error.detail;
  }
};

const SPECIAL_ADDRESSES = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.127.255.254',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '192.31.196.1',
  '192.52.193.1',
  '192.88.99.1',
  '192.168.0.1',
  '192.168.255.255',
  '192.175.48.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::7f00:1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '::ffff:0:8.8.8.8',
  '64:ff9b::7f00:1',
  '64:ff9b::808:808',
  '64:ff9b:1::1',
  '100::1',
  '2001::1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  '2001:2::1',
  '2001:10::1',
  '2001:20::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  '2002:808:808::1',
  '2620:4f:8000::1',
  '3fff::1',
  '5f00::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fec0::1',
  'ff02::1',
  '4000::1',
];

const PUBLIC_ADDRESSES = [
  '1.1.1.1',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2606:4700::1111',
  '2a00:1450:4001::1',
  '2001:200::1',
  '2003::1',
];

test.each(SPECIAL_ADDRESSES)('%s is not of the public Internet, as an address and as a URL', async (address) => {
  expect(isPublicAddress(address)).toBe(false);
  const host = address.includes(':') ? `[${address}]` : address;
  expect(await refusalOf(`https://${host}/hook`)).toBeDefined();
});

test.each(PUBLIC_ADDRESSES)('%s is', async (address) => {
  expect(isPublicAddress(address)).toBe(true);
  const host = address.includes(':') ? `[${address}]` : address;
  expect(await refusalOf(`https://${host}/hook`)).toBeUndefined();
});

test.each([
  ['a number for an address', 'https://2130706433/'],
  ['hex', 'https://0x7f000001/'],
  ['octal', 'https://017700000001/'],
  ['short form', 'https://127.1/'],
  ['hex parts', 'https://0x7f.0.0.1/'],
  ['percent-encoded', 'https://%31%32%37.0.0.1/'],
  ['with a dot after it', 'https://127.0.0.1./'],
  ['localhost', 'https://localhost/'],
  ['a name with a private address', 'https://private.example/'],
  ['the same in capitals', 'https://PRIVATE.EXAMPLE/'],
  ['the same with a dot after it', 'https://private.example./'],
  ['the metadata service', 'https://metadata.example/latest/meta-data'],
  ['one public and one private address', 'https://mixed.example/'],
  ['likewise in IPv6', 'https://mixed6.example/'],
  ['IPv4 mapped into IPv6', 'https://mapped.example/'],
  ['an address with a zone', 'https://zone.example/'],
  ['a zone in the URL', 'https://[fe80::1%25eth0]/'],
  ['a name without addresses', 'https://empty.example/'],
  ['an answer that is no address', 'https://nonsense.example/'],
  ['an unknown name', 'https://unknown.example/'],
  ['http', 'http://public.example/'],
  ['http to an address', 'http://8.8.8.8/'],
  ['ftp', 'ftp://public.example/'],
  ['file', 'file:///etc/passwd'],
  ['javascript', 'javascript:alert(1)'],
  ['data', 'data:text/plain,x'],
  ['gopher', 'gopher://public.example:70/'],
  ['a user', 'https://user@public.example/'],
  ['user and password', 'https://user:password@public.example/'],
  ['an empty user', 'https://@public.example/'],
  ['an empty user and password', 'https://:@public.example/'],
  ['a host hidden behind a user', 'https://public.example@127.0.0.1/'],
  ['a backslash', 'https://public.example\\@127.0.0.1/'],
  ['a fragment', 'https://public.example/#x'],
  ['an empty fragment', 'https://public.example/#'],
  ['port 22', 'https://public.example:22/'],
  ['port 25', 'https://public.example:25/'],
  ['port 80', 'https://public.example:80/'],
  ['port 0', 'https://public.example:0/'],
  ['port 1023', 'https://public.example:1023/'],
  ['a space', 'https://public.example/ x'],
  ['a line break', 'https://public.example/\r\nHost: x'],
  ['a line break in the host', 'https://public\n.example/'],
  ['a tab', 'https://public.exam\tple/'],
  ['another script', 'https://publiс.example/'],
  ['full-width digits', 'https://１２７.0.0.1/'],
  ['more than 2000 characters', `https://public.example/${'x'.repeat(2000)}`],
  ['a credential of ours', `https://public.example/?k=tmk1_live_01tSaqXyBDHyM6_${'a'.repeat(43)}`],
  ['nothing', ''],
  ['no host', 'https:///hook'],
  ['only a name', 'public.example'],
])('refused: %s', async (_, url) => {
  expect(await refusalOf(url)).toBeDefined();
});

test.each([
  'https://public.example/',
  'https://PUBLIC.example/hook?token=abc',
  'https://public.example:443/',
  'https://public.example:8443/x',
  'https://public.example:1024/',
])('accepted: %s, with the addresses that were judged', async (url) => {
  expect((await guard.check(url)).addresses).toEqual(['8.8.8.8', '2606:4700::1111']);
});

test('an unknown name and a private one answer alike: names inside cannot be probed', async () => {
  expect(await refusalOf('https://unknown.example/')).toBe(await refusalOf('https://private.example/'));
  expect(await refusalOf('https://empty.example/')).toBe(await refusalOf('https://private.example/'));
});

describe('networks that the operator allows', () => {
  const inside = new WebhookGuard(['10.0.0.0/8', '::1/128'], resolve);

  test('may be reached, also by http and on every port', async () => {
    expect(await refusalOf('http://private.example:80/', inside)).toBeUndefined();
    expect(await refusalOf('https://10.1.2.3:22/', inside)).toBeUndefined();
    expect(await refusalOf('http://[::1]:9000/', inside)).toBeUndefined();
  });

  test('open nothing beside them, and no http to the public', async () => {
    expect(await refusalOf('http://127.0.0.1/', inside)).toBeDefined();
    expect(await refusalOf('https://192.168.0.1/', inside)).toBeDefined();
    expect(await refusalOf('https://mixed.example/', inside)).toBeDefined();
    expect(await refusalOf('http://public.example/', inside)).toBeDefined();
    expect(await refusalOf('https://zone.example/', inside)).toBeDefined();
  });
});

test('a name that changes its answer is judged by each answer anew', async () => {
  const answers = [['8.8.8.8'], ['127.0.0.1']];
  const rebinding = new WebhookGuard([], () => Promise.resolve(answers.shift() ?? []));
  expect((await rebinding.check('https://rebind.example/')).addresses).toEqual(['8.8.8.8']);
  expect(await refusalOf('https://rebind.example/', rebinding)).toBeDefined();
});
