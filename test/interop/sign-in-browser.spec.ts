import path from 'node:path';
import { mkdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { describeWith, findProgram } from './program.js';

/** A real browser with a virtual authenticator against a whole instance: the page's own script does the talking. */
describeWith(['chromium'], 'signing in with Chromium', () => {
  let instance: TestInstance;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  let code: string;

  beforeAll(async () => {
    instance = await startTestInstance({ TOUCHMARK_HOSTNAMES: 'localhost,127.0.0.1' });
    const person = await instance.api('POST', '/v1/people', { name: 'Ada Lovelace' });
    const { id } = person.json<{ id: string }>();
    code = (await instance.api('POST', `/v1/people/${id}/invitations`, {})).json<{ code: string }>().code;
    const root = process.getuid?.() === 0;
    browser = await chromium.launch({ executablePath: findProgram('chromium')!, args: root ? ['--no-sandbox'] : [] });
    context = await browser.newContext({ ignoreHTTPSErrors: true });
    page = await context.newPage();
    complaints = [];
    // What the Content-Security-Policy stops, and what the script throws.
    page.on('console', (message) => {
      const expected = message.text().includes('401');
      if (message.type() === 'error' && !expected) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    const devtools = await context.newCDPSession(page);
    await devtools.send('WebAuthn.enable');
    const options = {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
    } as const;
    await devtools.send('WebAuthn.addVirtualAuthenticator', {
      options: { ...options, isUserVerified: true, automaticPresenceSimulation: true },
    });
  });
  afterAll(async () => {
    await browser?.close();
    await instance?.stop();
  });

  const url = () => `${instance.urls.api.replace('127.0.0.1', 'localhost')}/sign-in`;
  const picture = async (name: string) => {
    const directory = process.env['SCREENSHOTS'];
    if (directory === undefined) return;
    await mkdir(directory, { recursive: true });
    await page.screenshot({ path: path.join(directory, `${name}.png`), fullPage: true });
  };
  const said = () => page.locator('#message').textContent();

  test('an invitation lets in once, a passkey is added, and signs in again after signing out', async () => {
    await page.goto(url());
    await page.locator('#signed-out').waitFor();
    await picture('signed-out');
    await page.fill('#code', code);
    await page.click('#invitation button');
    await page.locator('#signed-in').waitFor();
    expect(await page.locator('#who').textContent()).toBe('Ada Lovelace');
    expect(await page.locator('#roles').textContent()).toBe('none yet: they are granted by two people');

    await page.fill('#passkey-name', '<b>Laptop</b>');
    await page.click('#add-passkey button');
    await page.getByText('The passkey is added.').waitFor();
    expect(await page.locator('#passkeys li').allTextContents()).toEqual(['<b>Laptop</b>']);
    await picture('signed-in');

    await page.click('#sign-out');
    await page.locator('#signed-out').waitFor();
    await page.fill('#code', code);
    await page.click('#invitation button');
    await page.getByText('The sign-in was not accepted; begin it again').waitFor();
    expect(await said()).toBe('The sign-in was not accepted; begin it again');
    await picture('refused');

    await page.click('#passkey');
    await page.locator('#signed-in').waitFor();
    expect(await page.locator('#who').textContent()).toBe('Ada Lovelace');
    expect(complaints).toEqual([]);
  });

  test('the session is nothing that a script can read or another site can use', async () => {
    expect(await page.evaluate('document.cookie')).toBe('');
    const [cookie] = await context.cookies(url());
    expect(cookie).toMatchObject({
      ...{ name: '__Host-touchmark', httpOnly: true, secure: true, sameSite: 'Strict', path: '/' },
    });
    const other = await context.newPage();
    // Another host of the same instance: for a browser a site of its own.
    await other.goto(url().replace('localhost', '127.0.0.1'));
    // By address no passkey can be used: said before an invitation is used up.
    expect(await other.locator('#message').textContent()).toContain('by the name of the host');
    const status = (await other.evaluate(
      `fetch('${url().replace('/sign-in', '/v1/session')}', { method: 'DELETE', mode: 'no-cors', credentials: 'include' }).then((a) => a.type, (e) => 'refused')`,
    )) as string;
    expect(status).not.toBe('basic');
    await other.close();
    await page.reload();
    await page.locator('#signed-in').waitFor();
  });
});
