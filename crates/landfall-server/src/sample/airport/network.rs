//! Airports and airlines: the fixed part of the world that schedules connect; the airports and the airline that documentation
//! shows must never change with the seed.

use super::cell::Decimal;
use super::countries::COUNTRIES;
use super::names;
use super::rng::{Rng, Stream};
use super::rows::{AirlineRow, AirportGeoRow, AirportRow};

pub(super) const AIRPORTS: i16 = 9_854;
pub(super) const AIRLINES: i16 = 113;

/// The airports of the fixed flight.
pub(super) const FIXED_FROM: i16 = 9_358;
pub(super) const FIXED_TO: i16 = 5_904;
const FIXED_IATA: [(i16, &str); 2] = [(FIXED_FROM, "YPC"), (FIXED_TO, "XGR")];

/// The airline of the fixed flight and those before it, so that its flights come third in the timetable.
const FIRST_AIRLINES: [(&str, &str); 3] =
    [("AF", "Afghanistan"), ("AL", "Albania"), ("AM", "American Samoa")];

const IATA_CODES: u16 = 26 * 26 * 26;
const ICAO_CODES: u64 = 26 * 26 * 26 * 26;

/// The airports and airlines of one seed.
pub(super) struct Network {
    seed: u64,
    /// By airport id: the number of its IATA code, if it had one.
    iata: Vec<u16>,
    icao_offset: u64,
    airlines: Vec<(String, String)>,
    /// The airports with an IATA code, sorted. Only they are connected, so that every route can be shown by codes.
    connected: Vec<i16>,
}

impl Network {
    pub(super) fn new(seed: u64) -> Network {
        let mut rng = Rng::new(seed, Stream::Codes, 0);
        let mut iata: Vec<u16> = (0..IATA_CODES).collect();
        rng.shuffle(&mut iata);
        for (airport, code) in FIXED_IATA {
            let holder = iata.iter().position(|number| letters::<3>(u64::from(*number)) == code);
            iata.swap(holder.expect("the codes are all there are"), airport as usize);
        }
        let icao_offset = u64::from(rng.below(ICAO_CODES as u32));
        let mut network = Network { seed, iata, icao_offset, airlines: airlines(), connected: Vec::new() };
        network.connected = (1..=AIRPORTS).filter(|airport| network.has_iata(*airport)).collect();
        network
    }

    pub(super) fn connected(&self) -> &[i16] {
        &self.connected
    }

    /// The airports without an IATA code, sorted.
    pub(super) fn unconnected(&self) -> impl Iterator<Item = i16> + '_ {
        (1..=AIRPORTS).filter(|airport| !self.has_iata(*airport))
    }

    pub(super) fn airline_code(&self, airline: i16) -> &str {
        &self.airlines[airline as usize - 1].0
    }

    /// The airline's base; one of the connected airports.
    pub(super) fn base(&self, airline: i16) -> i16 {
        Rng::new(self.seed, Stream::Airline, airline as u64).pick(&self.connected)
    }

    pub(super) fn airline(&self, airline: i16) -> AirlineRow {
        let (code, country) = &self.airlines[airline as usize - 1];
        AirlineRow {
            airline_id: airline,
            iata: code.clone(),
            airlinename: format!("{country} Airlines"),
            base_airport: self.base(airline),
        }
    }

    fn has_iata(&self, airport: i16) -> bool {
        let fixed = airport == FIXED_FROM || airport == FIXED_TO;
        fixed || Rng::new(self.seed, Stream::Codes, airport as u64).below(100) < 57
    }

    pub(super) fn airport(&self, airport: i16) -> AirportRow {
        let mut rng = Rng::new(self.seed, Stream::Airport, airport as u64);
        let city = names::city(&mut rng);
        let iata = self.has_iata(airport).then(|| letters::<3>(u64::from(self.iata[airport as usize])));
        // The factor shares no divisor with the number of codes, so that no code comes twice.
        let icao = (self.icao_offset + airport as u64 * 314_159) % ICAO_CODES;
        AirportRow {
            airport_id: airport,
            iata,
            icao: letters::<4>(icao),
            name: names::airport(&mut rng, &city),
        }
    }

    pub(super) fn airport_geo(&self, airport: i16) -> AirportGeoRow {
        let mut rng = Rng::new(self.seed, Stream::Airport, airport as u64);
        let city = names::city(&mut rng);
        let name = names::airport(&mut rng, &city);
        let mut rng = Rng::new(self.seed, Stream::Geo, airport as u64);
        let country = airport_country(&mut rng, airport);
        // Airports of one country lie near each other: within three degrees of a point of that country.
        let mut centre = Rng::new(self.seed, Stream::Country, country as u64);
        let mut degrees = |limit: i32| {
            let middle = i64::from(centre.within(-limit, limit)) * 100_000_000;
            Decimal::new(middle + i64::from(rng.within(-300_000_000, 300_000_000)), 8)
        };
        let (latitude, longitude) = (degrees(60), degrees(176));
        AirportGeoRow { airport_id: airport, name, city, country: COUNTRIES[country], latitude, longitude }
    }
}

/// Every country has an airport, and some have many more than others.
fn airport_country(rng: &mut Rng, airport: i16) -> usize {
    let countries = COUNTRIES.len();
    if airport as usize <= countries {
        return airport as usize - 1;
    }
    let rank = rng.below(countries as u32).min(rng.below(countries as u32)) as usize;
    // Scatters the countries with many airports over the alphabet: 101 and 236 have no common divisor.
    rank * 101 % countries
}

/// Code and country of each airline, sorted by code from the fixed three on.
fn airlines() -> Vec<(String, String)> {
    let mut airlines: Vec<(String, String)> =
        FIRST_AIRLINES.iter().map(|(code, country)| ((*code).to_owned(), (*country).to_owned())).collect();
    let fits =
        |country: &&&str| country.len() <= 21 && !FIRST_AIRLINES.iter().any(|(_, first)| first == *country);
    let others: Vec<&str> = COUNTRIES.iter().filter(fits).copied().collect();
    let wanted = AIRLINES as usize - airlines.len();
    for n in 0..wanted {
        let country = others[n * others.len() / wanted];
        let code = free_code(country, &airlines);
        airlines.push((code, country.to_owned()));
    }
    airlines
}

/// The country's first letter and the first other letter that is free, else any that is. Codes before the fixed airline's
/// stay unused, or its flights would move down the timetable.
fn free_code(country: &str, taken: &[(String, String)]) -> String {
    let letters: Vec<char> = country.to_uppercase().chars().filter(char::is_ascii_uppercase).collect();
    let seconds = letters.iter().skip(1).copied().chain('A'..='Z');
    let own = seconds.map(|second| format!("{}{second}", letters[0]));
    let any = ('B'..='Z').flat_map(|first| ('A'..='Z').map(move |second| format!("{first}{second}")));
    own.chain(any)
        .find(|code| code.as_str() > FIRST_AIRLINES[2].0 && !taken.iter().any(|(used, _)| used == code))
        .expect("there are five times as many codes as airlines")
}

/// The number written in `N` letters.
fn letters<const N: usize>(mut number: u64) -> String {
    let mut code = [b'A'; N];
    for letter in code.iter_mut().rev() {
        *letter = b'A' + (number % 26) as u8;
        number /= 26;
    }
    code.iter().map(|letter| char::from(*letter)).collect()
}
