// Progressive only: every page works without this file.

"use strict";

function copyText(element) {
  if (navigator.clipboard && window.isSecureContext) {
    return navigator.clipboard.writeText(element.textContent);
  }
  // Over plain HTTP there is no clipboard; the selected text can still be copied.
  window.getSelection().selectAllChildren(element);
  return document.execCommand("copy") ? Promise.resolve() : Promise.reject(new Error("copying is not allowed"));
}

function offerCopy(button) {
  const element = document.getElementById(button.dataset.copy);
  const status = button.closest(".copy").querySelector("[role=status]");
  const label = button.firstChild;
  const offered = label.textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    copyText(element).then(
      () => {
        label.textContent = "Copied";
        status.textContent = "Copied.";
      },
      () => {
        window.getSelection().selectAllChildren(element);
        status.textContent = "Copying did not work. The text is selected; copy it with the keyboard.";
      },
    );
    window.setTimeout(() => {
      label.textContent = offered;
      status.textContent = "";
    }, 3000);
  });
}

function sendOnce(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "yes";
  });
  // A page that comes back from the history may be sent again.
  window.addEventListener("pageshow", () => delete form.dataset.sent);
}

// A live panel is read anew from the page that it stands on, while somebody looks at it.
const LIVE_MS = 2000;

// What stands elsewhere on the page and follows from the same: the steps that are done, the button that goes on.
function follow(element, page) {
  const fresh = page.getElementById(element.id);
  if (!fresh || element.outerHTML === fresh.outerHTML) {
    return;
  }
  element.className = fresh.className;
  if (!element.contains(document.activeElement) || element === document.activeElement) {
    element.replaceChildren(...fresh.childNodes);
  }
}

function keepLive(panel) {
  const say = panel.parentElement.querySelector("[data-live-say]");
  panel.querySelectorAll("[data-live-manual]").forEach((element) => (element.hidden = true));
  panel.querySelectorAll("[data-live-on]").forEach((element) => (element.hidden = false));
  let shown = panel.innerHTML;
  let said = panel.dataset.say;

  async function look() {
    if (document.hidden) {
      return;
    }
    const response = await fetch(window.location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!response.ok || response.redirected) {
      throw new Error("the page is not there any more");
    }
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById(panel.id);
    if (!fresh) {
      throw new Error("the panel is not there any more");
    }
    fresh.querySelectorAll("[data-live-manual]").forEach((element) => (element.hidden = true));
    fresh.querySelectorAll("[data-live-on]").forEach((element) => (element.hidden = false));
    // Who stands in the panel is not disturbed for a few seconds more or less, but by news.
    const disturbs = panel.contains(document.activeElement);
    if (fresh.innerHTML !== shown && (!disturbs || fresh.dataset.say !== said)) {
      shown = fresh.innerHTML;
      panel.className = fresh.className;
      panel.replaceChildren(...fresh.childNodes);
      if (disturbs) {
        panel.tabIndex = -1;
        panel.focus();
      }
    }
    if (fresh.dataset.say !== said) {
      said = fresh.dataset.say;
      say.textContent = said;
    }
    document.querySelectorAll("[data-live-too]").forEach((element) => follow(element, page));
  }

  function later() {
    window.setTimeout(() => look().then(later, showManual), LIVE_MS);
  }

  // Signed out, or the server is away: from here on the link does it.
  function showManual() {
    panel.querySelectorAll("[data-live-manual]").forEach((element) => (element.hidden = false));
    panel.querySelectorAll("[data-live-on]").forEach((element) => (element.hidden = true));
  }
  later();
}

// On a narrow screen the sections stand side by side and scroll; the one that is open comes into view.
function showCurrentSection(bar) {
  const current = bar.querySelector("[aria-current]");
  if (current) {
    bar.scrollLeft += current.getBoundingClientRect().left - bar.getBoundingClientRect().left - bar.clientWidth / 3;
  }
}

document.querySelectorAll("nav.sections").forEach(showCurrentSection);
document.querySelectorAll("[data-live]").forEach(keepLive);
document.querySelectorAll("[data-copy]").forEach(offerCopy);
document.querySelectorAll("form[data-once]").forEach(sendOnce);
