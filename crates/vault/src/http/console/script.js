// The one script of the console: passkeys, and what counts down. Pages work without it but for these.
"use strict";

(() => {
  const decode = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

  const encode = (bytes) =>
    btoa(String.fromCharCode(...new Uint8Array(bytes)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  // Options come as JSON, in which bytes are base64url.
  const withBytes = (options) => {
    options.challenge = decode(options.challenge);
    if (options.user) options.user.id = decode(options.user.id);
    for (const list of [options.allowCredentials, options.excludeCredentials]) {
      for (const one of list || []) one.id = decode(one.id);
    }
    return options;
  };

  const asJson = (credential) => {
    const answer = credential.response;
    const response = { clientDataJSON: encode(answer.clientDataJSON) };
    if (answer.attestationObject) {
      response.attestationObject = encode(answer.attestationObject);
    } else {
      response.authenticatorData = encode(answer.authenticatorData);
      response.signature = encode(answer.signature);
      response.userHandle = answer.userHandle ? encode(answer.userHandle) : null;
    }
    return JSON.stringify({
      id: credential.id,
      rawId: encode(credential.rawId),
      type: credential.type,
      extensions: {},
      response,
    });
  };

  const say = (form, text) => {
    const place = form.querySelector("[role=status]");
    if (place) place.textContent = text;
  };

  // Asks the vault what is to be signed, has it signed, and sends the form with the answer.
  const sign = async (form) => {
    say(form, "Waiting for your passkey …");
    const asked = await fetch(form.dataset.passkey, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { Accept: "application/json" },
    });
    if (!asked.ok) {
      say(form, await asked.text());
      return;
    }
    const { handle, options } = await asked.json();
    const publicKey = withBytes(options.publicKey);
    const credential = publicKey.user
      ? await navigator.credentials.create({ publicKey })
      : await navigator.credentials.get({ publicKey });
    form.elements.handle.value = handle;
    form.elements.answer.value = asJson(credential);
    form.submit();
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!window.PublicKeyCredential) {
        say(form, "This browser offers no passkeys on this address.");
        return;
      }
      sign(form).catch((error) => say(form, `The passkey was not used: ${error.message}`));
    });
  }

  const spoken = (seconds) => {
    const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const at = parts.findIndex(([size]) => seconds >= size);
    if (at < 0) return "now";
    const told = parts.slice(at, at + 2).map(([size, word], n) => {
      const whole = n ? seconds % parts[at][0] : seconds;
      return [Math.floor(whole / size), word];
    });
    return told.filter(([count]) => count > 0).map((part) => part.join(" ")).join(" ");
  };

  const began = performance.now();
  const tick = () => {
    const passed = Math.floor((performance.now() - began) / 1000);
    for (const place of document.querySelectorAll("[data-seconds]")) {
      place.textContent = spoken(Math.max(0, Number(place.dataset.seconds) - passed));
    }
  };
  if (document.querySelector("[data-seconds]")) setInterval(tick, 1000);

  // A part of the page that waits for something is drawn anew, for a quarter of an hour.
  const live = document.querySelector("[data-live]");
  let looks = 180;
  const look = async () => {
    if (document.hidden) return;
    looks -= 1;
    const answer = await fetch(location.href, { redirect: "error" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-live]");
    if (answer.ok && fresh && fresh.innerHTML !== live.innerHTML) {
      live.replaceChildren(...fresh.childNodes);
    }
  };
  const goOn = () => setTimeout(() => look().catch(() => {}).then(() => looks > 0 && goOn()), 5000);
  if (live) goOn();
})();
