"""What holds for every page. ``CheckingClient`` checks each answer that is HTML, so no test of a page has to."""

from typing import Any

from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

# What has a label of its own: a button's text, or nothing to say.
WITHOUT_LABEL = ("hidden", "submit", "button", "reset", "image")


class CheckingClient(FlaskClient):
    """A test client that refuses to show a page with a fault. A page that it shows has its tree as ``soup``."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        if response.mimetype == "text/html" and response.data and not is_plain_redirect(response):
            response.soup = check_page(response)
        return response


def is_plain_redirect(response: TestResponse) -> bool:
    """Tell whether an answer is Werkzeug's own note beside a Location, which no browser shows."""
    return response.status_code in (301, 302, 303, 307, 308)


def check_page(response: TestResponse) -> BeautifulSoup:
    """Check the structure and the headers of a page, and return it as a tree."""
    soup = BeautifulSoup(response.text, "html.parser")
    where = f"{response.request.method} {response.request.path} ({response.status_code})"
    faults = [*structure_faults(soup), *label_faults(soup), *inline_faults(soup), *header_faults(response)]
    assert not faults, f"{where}: {'; '.join(faults)}"
    return soup


def structure_faults(soup: BeautifulSoup) -> list[str]:
    """Return what is wrong with a page as a document: language, title, heading, landmarks, ids, forms."""
    every = soup.find_all(True)
    ids = [element["id"] for element in every if element.has_attr("id")]
    said = {
        "no lang=en on html": soup.html is None or soup.html.get("lang") != "en",
        "not one h1": len(soup.find_all("h1")) != 1 or not soup.h1.get_text(strip=True),
        "no title that names page and place": soup.title is None or len(soup.title.text.strip().split("·")) < 2,
        "no skip link to the content": [a["href"] for a in soup.find_all("a", class_="skip-link")] != ["#main"],
        "not one main#main": len(soup.find_all("main", id="main")) != 1,
    }
    faults = [fault for fault, is_there in said.items() if is_there]
    faults += [f"the id {name!r} is there twice" for name in sorted({name for name in ids if ids.count(name) > 1})]
    for attribute in ("aria-describedby", "aria-labelledby", "aria-controls"):
        for element in every:
            faults += [f"{attribute} names {name!r}" for name in element.get(attribute, "").split() if name not in ids]
    for form in soup.find_all("form"):
        token = form.find(attrs={"name": "csrf_token"})
        if form.get("method", "get").lower() == "post" and not (token and token.get("value")):
            faults.append("a form without its CSRF token")
    return faults


def label_faults(soup: BeautifulSoup) -> list[str]:
    """Return the controls, links and images that a screen reader could not name."""
    faults = []
    for control in soup.find_all(["input", "select", "textarea"]):
        if control.get("type", "").lower() not in WITHOUT_LABEL and not is_labelled(soup, control):
            faults.append(f"no label for {control.get('name') or control}")
    faults += [f"nothing to read in {link}" for link in soup.find_all(["a", "button"]) if not spoken(link)]
    faults += [f"no alt on {image}" for image in soup.find_all("img", alt=False)]
    return faults


def is_labelled(soup: BeautifulSoup, control: Tag) -> bool:
    """Tell whether a control has a label around it or for its id, or an ARIA one."""
    if control.get("aria-label") or control.get("aria-labelledby") or control.find_parent("label"):
        return True
    label = soup.find("label", attrs={"for": control.get("id")}) if control.get("id") else None
    return label is not None and bool(label.get_text(strip=True))


def spoken(element: Tag) -> str:
    """Return what is read out for a link or button."""
    images = " ".join(image.get("alt", "") for image in element.find_all("img"))
    return f"{element.get('aria-label', '')}{element.get_text(strip=True)}{images}".strip()


def inline_faults(soup: BeautifulSoup) -> list[str]:
    """Return what the Content-Security-Policy would stop: scripts, styles and handlers in the page."""
    every = soup.find_all(True)
    scripts = [element for element in soup.find_all("script") if not element.get("src") or element.text.strip()]
    styles = [element for element in every if element.name == "style" or element.has_attr("style")]
    handlers = [element for element in every for name in element.attrs if name.startswith("on")]
    addresses = [
        element
        for element in every
        if element.get("href", "").startswith("javascript:") or element.get("src", "").startswith(("data:", "http"))
    ]
    return [f"inline: {element}" for element in (*scripts, *styles, *handlers, *addresses)]


def header_faults(response: TestResponse) -> list[str]:
    """Return the security headers that a page lacks, and what it says too much."""
    headers = response.headers
    policy = headers.get("Content-Security-Policy", "")
    said = {
        "a policy that is not strict": "default-src 'none'" not in policy or "unsafe" in policy or "*" in policy,
        "it can be framed": "frame-ancestors 'none'" not in policy,
        "it tells its address": headers.get("Referrer-Policy") != "no-referrer",
        "no nosniff": headers.get("X-Content-Type-Options") != "nosniff",
        "it may be kept": headers.get("Cache-Control") != "no-store",
    }
    return [fault for fault, is_there in said.items() if is_there]
