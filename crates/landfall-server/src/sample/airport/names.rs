//! Names of people, places and things, put together from syllables; no name may be taken from another data set.

use super::rng::Rng;

const STARTS: [&str; 32] = [
    "Al", "Bre", "Ca", "Dor", "El", "Fa", "Gor", "Ha", "Il", "Jo", "Ka", "Lu", "Ma", "Ne", "Or", "Pa", "Que",
    "Ro", "Sa", "Ti", "Ul", "Va", "Wen", "Xa", "Yo", "Ze", "Bru", "Cle", "Dra", "Fi", "Gle", "Mo",
];
const MIDDLES: [&str; 16] =
    ["la", "ri", "no", "ve", "tu", "mi", "sa", "do", "re", "ka", "li", "zo", "ne", "bra", "fe", "gu"];
const FIRST_NAME_ENDS: [&str; 12] = ["n", "na", "ro", "s", "lle", "ra", "ko", "mi", "x", "dan", "vi", "tha"];
const LAST_NAME_ENDS: [&str; 12] =
    ["berg", "son", "ski", "rand", "mann", "ton", "ves", "lund", "ric", "mar", "dotti", "wick"];
const CITY_ENDS: [&str; 12] =
    ["haven", "mar", "dale", "bridge", "mouth", "field", "stad", "port", "combe", "holm", "crest", "wood"];
const STREET_KINDS: [&str; 6] = ["Street", "Lane", "Road", "Alley", "Square", "Quay"];
const AIRPORT_KINDS: [&str; 5] = ["International", "Regional", "Airfield", "Airport", "Airpark"];

fn stem(rng: &mut Rng) -> String {
    let mut name = rng.pick(&STARTS).to_owned();
    name.push_str(rng.pick(&MIDDLES));
    name
}

pub(super) fn first_name(rng: &mut Rng) -> String {
    let mut name = rng.pick(&STARTS).to_owned();
    if rng.one_in(2) {
        name.push_str(rng.pick(&MIDDLES));
    }
    name.push_str(rng.pick(&FIRST_NAME_ENDS));
    name
}

pub(super) fn last_name(rng: &mut Rng) -> String {
    stem(rng) + rng.pick(&LAST_NAME_ENDS)
}

pub(super) fn city(rng: &mut Rng) -> String {
    let mut name = stem(rng);
    if rng.one_in(3) {
        name.push_str(rng.pick(&MIDDLES));
    }
    name + rng.pick(&CITY_ENDS)
}

pub(super) fn airport(rng: &mut Rng, city: &str) -> String {
    format!("{city} {}", rng.pick(&AIRPORT_KINDS))
}

pub(super) fn street(rng: &mut Rng) -> String {
    let name = stem(rng) + rng.pick(&CITY_ENDS);
    format!("{} {name} {}", rng.within(1, 240), rng.pick(&STREET_KINDS))
}

/// A number under the country code 999, which nobody has.
pub(super) fn telephone(rng: &mut Rng) -> String {
    format!("+999 {} {:06}", rng.within(100, 999), rng.below(1_000_000))
}

const MAKERS: [&str; 12] = [
    "Kestrel",
    "Petrel",
    "Albatross",
    "Swift",
    "Plover",
    "Gannet",
    "Skua",
    "Osprey",
    "Curlew",
    "Merlin",
    "Heron",
    "Tern",
];
const BODIES: [&str; 4] = ["A narrow-body", "A wide-body", "A commuter", "A stretched narrow-body"];
const ENGINES: [&str; 4] = ["two jet engines", "four jet engines", "two turboprops", "three jet engines"];
const USES: [&str; 4] = ["short hops", "regional lines", "long routes", "crowded trunk routes"];

/// Identifiers are unique: one maker has a given series once.
pub(super) fn airplane_type(number: u32) -> String {
    let maker = MAKERS[(number as usize - 1) % MAKERS.len()];
    let series = 1 + (number as usize - 1) / MAKERS.len();
    format!("{maker} {}", series * 10)
}

pub(super) fn airplane_description(rng: &mut Rng) -> String {
    let year = rng.within(1958, 2022);
    format!(
        "{} with {}, first flown in {year}, built for {}.",
        rng.pick(&BODIES),
        rng.pick(&ENGINES),
        rng.pick(&USES)
    )
}
