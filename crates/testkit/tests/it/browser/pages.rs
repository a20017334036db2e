//! The pages that browsers are tried on.

use crate::site::Page;

/// Forbids what a page of ours never needs; `style-src` and `img-src` are what is tried.
const POLICY: &str = "Content-Security-Policy: default-src 'none'; style-src 'self'\r\n\
    Content-Security-Policy-Report-Only: img-src 'none'\r\n";

/// A page in both schemes, 2,000 pixels high.
const SOUND: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Sound</title>
<meta name=viewport content='width=device-width'><link rel=icon href='data:,'>
<style>
:root { color-scheme: light dark }
body { margin: 0; background: #fff; color: #000; height: 2000px }
h1 { margin: 0 }
@media (prefers-color-scheme: dark) { body { background: #000; color: #fff } }
</style></head><body><main><h1>Sound</h1><p>Nothing is wrong here.</main></body></html>";

/// One in which there is something to fill in.
const FORM: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>A form</title>
<meta name=viewport content='width=device-width'><link rel=icon href='data:,'></head>
<body><main><h1>Please fill this in</h1><form>
<label for=name>Name</label><input id=name name=name>
<label for=role>Role</label><select id=role name=role>
<option value=r>Reader</option><option value=o>Operator</option></select>
<label for=until>Until</label><input id=until name=until type=date>
<label><input type=checkbox name=ok>Understood</label>
<button>Send</button><button type=button style='display: none'>Hidden</button>
</form><a href=/sound>Elsewhere</a></main></body></html>";

/// One that enrols a passkey for a name, and signs in with it.
pub(crate) const PASSKEYS: &str =
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>Passkeys</title>
<meta name=viewport content='width=device-width'><link rel=icon href='data:,'></head>
<body><main><h1>Passkeys</h1><form>
<label for=name>Name</label><input id=name name=name>
<button>Enrol</button><button type=button id=in>Sign in</button>
</form><p id=said></p></main>
<script>
const form = document.querySelector('form');
const say = text => { document.getElementById('said').textContent = text };
const challenge = new Uint8Array(32);
const attempt = act => event => {
    event.preventDefault();
    say('');
    act().then(say, error => say(`Refused: ${error.name}`));
};
form.addEventListener('submit', attempt(async () => {
    const name = form.elements.name.value;
    await navigator.credentials.create({publicKey: {
        challenge, rp: {name: 'Test'}, pubKeyCredParams: [{type: 'public-key', alg: -7}],
        user: {id: new TextEncoder().encode(name), name, displayName: name},
        authenticatorSelection: {residentKey: 'required', userVerification: 'required'},
    }});
    return `Enrolled ${name}`;
}));
document.getElementById('in').addEventListener('click', attempt(async () => {
    const told = await navigator.credentials.get({publicKey: {
        challenge, userVerification: 'required',
    }});
    const who = new TextDecoder().decode(told.response.userHandle);
    return `Signed in as ${who}`;
}));
</script></body></html>";

const THROWS: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Throws</title>
<meta name=viewport content='width=device-width'><link rel=icon href='data:,'>
<link rel=stylesheet href=/missing.css></head>
<body><main><h1 id=said>Throws</h1></main><script>
console.error('told on purpose');
console.warn('no error');
Promise.reject(new Error('never caught'));
setTimeout(() => { document.getElementById('said').textContent = 'thrown' }, 0);
throw new Error('thrown on purpose');
</script></body></html>";

const STRICT: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Strict</title>
<meta name=viewport content='width=device-width'></head>
<body><main><h1 style='color: red'>Strict</h1><img alt='' src=/missing.png></main></body></html>";

const UNLABELLED: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>A</title>
<meta name=viewport content='width=device-width'><link rel=icon href='data:,'></head>
<body><main><h1>A field without a label</h1><input id=unlabelled></main></body></html>";

const WIDE: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Wide</title>
<meta name=viewport content='width=device-width'><link rel=icon href='data:,'>
<style>body { margin: 0 } main { width: 500px }</style></head>
<body><main><h1>Wide</h1></main></body></html>";

const NO_PHONE: &str =
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>No phone</title>
<link rel=icon href='data:,'></head><body><main><h1>No phone</h1></main></body></html>";

/// Well to read in the light scheme alone.
const PALE: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Pale</title>
<meta name=viewport content='width=device-width'><link rel=icon href='data:,'>
<style>
body { background: #fff; color: #000 }
@media (prefers-color-scheme: dark) { body { background: #000; color: #222 } }
</style></head><body><main><h1>Pale</h1></main></body></html>";

/// All of them.
pub(super) const PAGES: &[Page] = &[
    ("/sound", 200, "", SOUND),
    ("/refused", 403, "", SOUND),
    (
        "/cookie",
        200,
        "Set-Cookie: session=ours; HttpOnly; SameSite=Strict\r\n",
        SOUND,
    ),
    ("/form", 200, "", FORM),
    ("/passkeys", 200, "", PASSKEYS),
    ("/throws", 200, "", THROWS),
    ("/strict", 200, POLICY, STRICT),
    ("/unlabelled", 200, "", UNLABELLED),
    ("/wide", 200, "", WIDE),
    ("/no-phone", 200, "", NO_PHONE),
    ("/pale", 200, "", PALE),
];
