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

document.querySelectorAll("[data-copy]").forEach(offerCopy);
document.querySelectorAll("form[data-once]").forEach(sendOnce);
