//! The pages of the demo's sites: each says at first sight which side made it.

use super::origins::Origin;

/// What had been observed before the demo began, the newest first.
pub(super) const SEEDS: [&str; 4] = [
    "Hummingbird hawk-moth on the red valerian, Lewes",
    "Seven-spot ladybirds, about thirty, under the ivy",
    "Slow-worm in the compost heap, Leighton Buzzard",
    "Is this a banded snail? Yellow, one brown band",
];

const FRAME: &str = include_str!("pages/frame.html");
const ISPOT_HOME: &str = include_str!("pages/ispot.html");
const OBSERVATIONS: &str = include_str!("pages/observations.html");
const MEGALAB_HOME: &str = include_str!("pages/megalab.html");
const QUIZ: &str = include_str!("pages/quiz.html");

/// The front page of a site.
pub(super) fn home(origin: &Origin) -> String {
    let title = title(origin);
    let body = match origin.site.as_str() {
        "megalab" => MEGALAB_HOME.to_owned(),
        _ => ISPOT_HOME.replace("{title}", &escaped(title)),
    };
    framed(origin, &body)
}

/// The list of observations, with a form for another.
pub(super) fn observations(origin: &Origin) -> String {
    let items = origin.observed();
    let items: String = items
        .iter()
        .map(|item| format!("<li>{}</li>\n", escaped(item)))
        .collect();
    framed(origin, &OBSERVATIONS.replace("{items}", &items))
}

/// The first question of the quiz.
pub(super) fn quiz(origin: &Origin) -> String {
    framed(origin, QUIZ)
}

/// What is said to an answer.
pub(super) fn answer(origin: &Origin, shell: &str) -> String {
    let verdict = if shell == "yellow" {
        "Right: the ground colour is yellow. The bands do not count."
    } else {
        "Not quite: look at the colour between the bands. It is yellow."
    };
    let body = format!(
        "<h1>Question 1</h1><p class=lead>{verdict}</p>\
         <p>Your answer was taken by this side: <b>{}</b>.</p>\
         <p><a class=button href=/quiz>Try again</a></p>",
        escaped(&origin.side)
    );
    framed(origin, &body)
}

fn framed(origin: &Origin, body: &str) -> String {
    // The two sides of a site must not be mistaken for each other, in print or by the colour blind:
    // so the word is big, and the colours differ in brightness too.
    let (dark, light) = match origin.rank {
        0 => ("#14532d", "#e9f5ec"),
        _ => ("#b45309", "#fff5e0"),
    };
    FRAME
        .replace("{title}", &escaped(title(origin)))
        .replace("{side}", &escaped(&origin.side))
        .replace("{dark}", dark)
        .replace("{light}", light)
        .replace("{body}", body)
}

fn title(origin: &Origin) -> &str {
    match origin.site.as_str() {
        "ispot" => "iSpot",
        "megalab" => "Evolution Megalab",
        other => other,
    }
}

fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
