/** The whole sign-in page. No inline script, no inline style, no other host: the policy beside it allows nothing else. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

export const signInPage = (withOidc: boolean): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Touchmark: sign in</title>
<link rel="stylesheet" href="/sign-in/style.css">
<script src="/sign-in/script.js" defer></script>
</head>
<body>
<main>
<h1>Touchmark</h1>
<p id="message" role="status" aria-live="polite"></p>
<section id="signed-out" hidden>
<h2>Sign in</h2>
<button type="button" id="passkey" class="main">Use a passkey</button>
${withOidc ? '<a class="button" id="oidc" href="/sign-in/oidc">Use your organization’s account</a>' : ''}
<form id="invitation">
<label for="code">Invitation code, for your first sign-in</label>
<input id="code" name="code" autocomplete="off" autocapitalize="off" spellcheck="false" placeholder="tmi1_…" required>
<button type="submit">Use the code</button>
</form>
</section>
<section id="signed-in" hidden>
<h2 id="who"></h2>
<dl>
<dt>Organization</dt><dd id="organization"></dd>
<dt>Roles</dt><dd id="roles"></dd>
<dt>Signed in until</dt><dd id="until"></dd>
</dl>
<h3>Passkeys</h3>
<ul id="passkeys"></ul>
<form id="add-passkey">
<label for="passkey-name">Name of the device</label>
<input id="passkey-name" maxlength="100" required>
<button type="submit">Add a passkey</button>
</form>
<form id="make-token" hidden>
<h3>Token for the command line</h3>
<label for="token-name">What it is for</label>
<input id="token-name" maxlength="100" required>
<button type="submit">Make a token</button>
</form>
<div id="token" hidden>
<p>Keep this now: it is not shown again.</p>
<output id="token-text"></output>
</div>
<button type="button" id="sign-out">Sign out</button>
</section>
</main>
</body>
</html>
`;

export const STYLE = `:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1c1c1c;background:#f4f4f2}
main{max-width:28rem;margin:3rem auto;padding:2rem;background:#fff;border:1px solid #ddd;border-radius:8px}
h1{margin:0 0 1rem;font-size:1.5rem}h2{font-size:1.15rem;margin:0 0 1rem;overflow-wrap:anywhere}h3{font-size:1rem;margin:1.5rem 0 .5rem}
form{margin:1rem 0 0}label{display:block;margin:1rem 0 .25rem}
input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #888;border-radius:4px;background:#fff;color:inherit}
button,.button{font:inherit;display:block;width:100%;box-sizing:border-box;margin:.5rem 0 0;padding:.6rem;text-align:center;
border:1px solid #555;border-radius:4px;background:#fff;color:#1c1c1c;text-decoration:none;cursor:pointer}
.main{background:#1f4e79;border-color:#1f4e79;color:#fff}
button:disabled{opacity:.6;cursor:default}
:focus-visible{outline:3px solid #e08a00;outline-offset:2px}
#message:empty{display:none}#message{padding:.5rem .75rem;border-left:4px solid #a33;background:#fbeeee;overflow-wrap:anywhere}
#message.good{border-color:#2a7a3f;background:#edf7ef}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0}dd{margin:0;overflow-wrap:anywhere}
ul{padding-left:1.25rem;margin:0}output{display:block;padding:.75rem;background:#eee;font-family:ui-monospace,monospace;overflow-wrap:anywhere}
#sign-out{margin-top:2rem}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}main{background:#202020;border-color:#444}
input,button,.button{background:#2b2b2b;color:#e6e6e6;border-color:#777}.main{background:#2f6ea8;color:#fff}
output{background:#2b2b2b}#message{background:#3a2222}#message.good{background:#1f3325}}
`;
