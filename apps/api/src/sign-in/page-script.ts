/** Runs in the browser, as it stands here: plain JavaScript without any library. Texts of others become text, never HTML. */
export const SCRIPT = `'use strict';
const at = (id) => document.getElementById(id);
const show = (id, shown) => { at(id).hidden = !shown; };

function say(text, good) {
  at('message').textContent = text.charAt(0).toUpperCase() + text.slice(1);
  at('message').className = good ? 'good' : '';
}

async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    credentials: 'same-origin',
    cache: 'no-store',
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(json.detail || 'This did not work.'), { status: answer.status });
  return json;
}

const toBytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (character) => character.charCodeAt(0));
const toText = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
const withIds = (list) => (list || []).map((one) => ({ ...one, id: toBytes(one.id) }));

async function signInByPasskey() {
  const { attemptId, options } = await call('POST', '/sign-in/passkey/options', {});
  const publicKey = { ...options, challenge: toBytes(options.challenge), allowCredentials: withIds(options.allowCredentials) };
  const made = await navigator.credentials.get({ publicKey });
  const { clientDataJSON, authenticatorData, signature, userHandle } = made.response;
  const response = {
    clientDataJSON: toText(clientDataJSON),
    authenticatorData: toText(authenticatorData),
    signature: toText(signature),
    ...(userHandle ? { userHandle: toText(userHandle) } : {}),
  };
  await call('POST', '/sign-in/passkey', {
    attemptId,
    response: { id: made.id, rawId: toText(made.rawId), type: made.type, response, clientExtensionResults: {} },
  });
}

async function addPasskey(name) {
  const { attemptId, options } = await call('POST', '/v1/passkeys/options', {});
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: withIds(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  const response = {
    clientDataJSON: toText(made.response.clientDataJSON),
    attestationObject: toText(made.response.attestationObject),
    transports: made.response.getTransports ? made.response.getTransports() : [],
  };
  await call('POST', '/v1/passkeys', {
    attemptId,
    name,
    response: { id: made.id, rawId: toText(made.rawId), type: made.type, response, clientExtensionResults: {} },
  });
}

async function refresh() {
  let session;
  try {
    session = await call('GET', '/v1/session');
  } catch (error) {
    if (error.status !== 401) say(error.message);
    show('signed-in', false);
    show('signed-out', true);
    return;
  }
  at('who').textContent = session.person ? session.person.name : session.token.name;
  at('organization').textContent = session.organization.kind;
  at('roles').textContent = session.roles.join(', ') || 'none yet: they are granted by two people';
  at('until').textContent = session.token.expiresAt ? new Date(session.token.expiresAt).toLocaleString() : 'it is revoked';
  show('make-token', session.roles.length > 0);
  at('make-token').dataset.roles = session.roles.join(' ');
  const { items } = await call('GET', '/v1/passkeys');
  at('passkeys').replaceChildren(...items.filter((one) => one.status === 'active').map((one) => {
    const line = document.createElement('li');
    line.textContent = one.name;
    return line;
  }));
  show('signed-out', false);
  show('signed-in', true);
}

function on(id, event, work, done) {
  at(id).addEventListener(event, async (happened) => {
    happened.preventDefault();
    const button = happened.submitter || happened.currentTarget;
    say('');
    button.disabled = true;
    try {
      await work();
      await refresh();
      if (done) say(done, true);
    } catch (error) {
      say(error.name === 'NotAllowedError' ? 'The browser has not used a passkey.' : error.message);
    } finally {
      button.disabled = false;
    }
  });
}

on('passkey', 'click', signInByPasskey);
on('invitation', 'submit', async () => {
  await call('POST', '/sign-in/invitation', { code: at('code').value.trim() });
  at('code').value = '';
}, 'You are in. Add a passkey now: the code does not work a second time.');
on('add-passkey', 'submit', async () => {
  await addPasskey(at('passkey-name').value);
  at('passkey-name').value = '';
}, 'The passkey is added.');
on('make-token', 'submit', async () => {
  const roles = at('make-token').dataset.roles.split(' ');
  const made = await call('POST', '/v1/tokens', { name: at('token-name').value, kind: 'personal', roles });
  at('token-name').value = '';
  at('token-text').textContent = made.token;
  show('token', true);
});
on('sign-out', 'click', async () => {
  await call('DELETE', '/v1/session');
  at('token-text').textContent = '';
  show('token', false);
});
// A passkey belongs to a name. An invitation used here would be used up before that is found out.
if (/^[\\d.]+$|:/.test(location.hostname)) {
  say('Open this page by the name of the host, not by its address: a passkey cannot be used here. Keep your code until then.');
}
refresh().catch((error) => say(error.message));
`;
