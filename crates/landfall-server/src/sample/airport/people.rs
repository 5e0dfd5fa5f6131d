//! Passengers and employees; nobody of them may exist: the names are syllables, the mail addresses and numbers nobody's.

use jiff::ToSpan;
use jiff::civil::Date;

use super::cell::Decimal;
use super::countries::COUNTRIES;
use super::names;
use super::rng::{Rng, Stream};
use super::rows::{EmployeeRow, PassengerDetailsRow, PassengerRow};

/// The values of `employee.department`.
pub const DEPARTMENTS: [&str; 5] = ["Marketing", "Accounting", "Management", "Logistics", "Airfield"];

const FIRST_BIRTHDATE: Date = Date::constant(1_930, 1, 1);
const BIRTHDATE_DAYS_MAX: i32 = 28_000;

pub(super) fn passenger(seed: u64, passenger: u32) -> PassengerRow {
    let mut rng = Rng::new(seed, Stream::Passenger, u64::from(passenger));
    // The factor ends in 1 and so shares no divisor with 10^8: no number comes twice.
    let passport = u64::from(passenger) * 38_196_601 % 100_000_000;
    PassengerRow {
        passenger_id: passenger as i32,
        passportno: format!("P{passport:08}"),
        firstname: names::first_name(&mut rng),
        lastname: names::last_name(&mut rng),
    }
}

pub(super) fn passenger_details(seed: u64, passenger: u32) -> PassengerDetailsRow {
    let mut name = Rng::new(seed, Stream::Passenger, u64::from(passenger));
    let mut mail_name = names::first_name(&mut name) + "." + &names::last_name(&mut name);
    mail_name.make_ascii_lowercase();
    let mut rng = Rng::new(seed, Stream::PassengerDetails, u64::from(passenger));
    PassengerDetailsRow {
        passenger_id: passenger as i32,
        birthdate: FIRST_BIRTHDATE.saturating_add(rng.within(0, BIRTHDATE_DAYS_MAX).days()),
        sex: rng.pick(&["f", "m"]),
        street: names::street(&mut rng),
        city: names::city(&mut rng),
        zip: rng.within(1_000, 9_999) as i16,
        country: rng.pick(&COUNTRIES),
        emailaddress: format!("{mail_name}.{passenger}@example.org"),
        telephoneno: names::telephone(&mut rng),
    }
}

pub(super) fn employee(seed: u64, employee: u32) -> EmployeeRow {
    let mut rng = Rng::new(seed, Stream::Employee, u64::from(employee));
    let firstname = names::first_name(&mut rng);
    let mut username = format!("{firstname}{employee}");
    username.make_ascii_lowercase();
    EmployeeRow {
        employee_id: employee as i32,
        firstname,
        lastname: names::last_name(&mut rng),
        street: names::street(&mut rng),
        city: names::city(&mut rng),
        zip: rng.within(1_000, 9_999) as i16,
        country: rng.pick(&COUNTRIES),
        salary: Decimal::new(i64::from(rng.within(180_000, 950_000)), 2),
        department: rng.pick(&DEPARTMENTS),
        username,
        // Looks like a digest and is one of nothing.
        password: format!("{:016x}{:016x}", rng.next(), rng.next()),
    }
}
