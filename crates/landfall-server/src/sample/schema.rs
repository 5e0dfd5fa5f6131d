//! The airport database's tables; the column names and declared types are those of the original and must never be changed
//! to suit SQLite. [`super::postgres`] makes of them what PostgreSQL has other words for.
//!
//! Reserved words are columns, so every name is quoted. An `int` primary key is no alias of the row id, and SQLite would allow
//! NULL in it, so NOT NULL is written out.

/// Name and definition of each table, in an order in which no foreign key points forward.
pub(super) const TABLES: [(&str, &str); 13] = [
    (
        "airport",
        r#"CREATE TABLE "airport" (
  "airport_id" smallint NOT NULL PRIMARY KEY,
  "iata" char(3),
  "icao" char(4) NOT NULL UNIQUE,
  "name" varchar(50) NOT NULL
)"#,
    ),
    (
        "airport_geo",
        r#"CREATE TABLE "airport_geo" (
  "airport_id" smallint NOT NULL,
  "name" varchar(50) NOT NULL,
  "city" varchar(50) NOT NULL,
  "country" varchar(50) NOT NULL,
  "latitude" decimal(11,8) NOT NULL,
  "longitude" decimal(11,8) NOT NULL
)"#,
    ),
    (
        "airline",
        r#"CREATE TABLE "airline" (
  "airline_id" smallint NOT NULL PRIMARY KEY,
  "iata" char(2) NOT NULL UNIQUE,
  "airlinename" varchar(30) NOT NULL,
  "base_airport" smallint NOT NULL REFERENCES "airport" ("airport_id")
)"#,
    ),
    (
        "airplane_type",
        r#"CREATE TABLE "airplane_type" (
  "type_id" int NOT NULL PRIMARY KEY,
  "identifier" varchar(50) NOT NULL,
  "description" text NOT NULL
)"#,
    ),
    (
        "airplane",
        r#"CREATE TABLE "airplane" (
  "airplane_id" int NOT NULL PRIMARY KEY,
  "capacity" mediumint NOT NULL,
  "type_id" int NOT NULL REFERENCES "airplane_type" ("type_id"),
  "airline_id" smallint NOT NULL REFERENCES "airline" ("airline_id")
)"#,
    ),
    (
        "flightschedule",
        r#"CREATE TABLE "flightschedule" (
  "flightno" char(8) NOT NULL PRIMARY KEY,
  "from" smallint NOT NULL,
  "to" smallint NOT NULL,
  "departure" time NOT NULL,
  "arrival" time NOT NULL,
  "airline_id" smallint NOT NULL,
  "monday" boolean NOT NULL,
  "tuesday" boolean NOT NULL,
  "wednesday" boolean NOT NULL,
  "thursday" boolean NOT NULL,
  "friday" boolean NOT NULL,
  "saturday" boolean NOT NULL,
  "sunday" boolean NOT NULL
)"#,
    ),
    (
        "flight",
        r#"CREATE TABLE "flight" (
  "flight_id" int NOT NULL PRIMARY KEY,
  "flightno" char(8) NOT NULL,
  "from" smallint NOT NULL REFERENCES "airport" ("airport_id"),
  "to" smallint NOT NULL REFERENCES "airport" ("airport_id"),
  "departure" timestamp NOT NULL,
  "arrival" timestamp NOT NULL,
  "airline_id" smallint NOT NULL REFERENCES "airline" ("airline_id"),
  "airplane_id" int NOT NULL REFERENCES "airplane" ("airplane_id")
);
CREATE INDEX "flight_departure" ON "flight" ("departure");
CREATE INDEX "flight_arrival" ON "flight" ("arrival");
CREATE INDEX "flight_flightno" ON "flight" ("flightno")"#,
    ),
    (
        "flight_log",
        r#"CREATE TABLE "flight_log" (
  "log_date" timestamp NOT NULL,
  "user" varchar(100) NOT NULL,
  "flight_id" int NOT NULL,
  "flightno_old" char(8),
  "flightno_new" char(8),
  "from_old" smallint,
  "from_new" smallint,
  "to_old" smallint,
  "to_new" smallint,
  "departure_old" timestamp,
  "departure_new" timestamp,
  "arrival_old" timestamp,
  "arrival_new" timestamp,
  "airplane_id_old" int,
  "airplane_id_new" int,
  "airline_id_old" smallint,
  "airline_id_new" smallint,
  "comment" varchar(200)
)"#,
    ),
    (
        "passenger",
        r#"CREATE TABLE "passenger" (
  "passenger_id" int NOT NULL PRIMARY KEY,
  "passportno" char(9) NOT NULL UNIQUE,
  "firstname" varchar(100) NOT NULL,
  "lastname" varchar(100) NOT NULL
)"#,
    ),
    (
        "passengerdetails",
        r#"CREATE TABLE "passengerdetails" (
  "passenger_id" int NOT NULL PRIMARY KEY REFERENCES "passenger" ("passenger_id") ON DELETE CASCADE,
  "birthdate" date NOT NULL,
  "sex" char(1) NOT NULL,
  "street" varchar(100) NOT NULL,
  "city" varchar(100) NOT NULL,
  "zip" smallint NOT NULL,
  "country" varchar(100) NOT NULL,
  "emailaddress" varchar(120) NOT NULL,
  "telephoneno" varchar(30) NOT NULL
)"#,
    ),
    (
        "booking",
        r#"CREATE TABLE "booking" (
  "booking_id" int NOT NULL PRIMARY KEY,
  "flight_id" int NOT NULL REFERENCES "flight" ("flight_id"),
  "seat" char(4),
  "passenger_id" int NOT NULL REFERENCES "passenger" ("passenger_id"),
  "price" decimal(10,2) NOT NULL,
  UNIQUE ("flight_id", "seat")
)"#,
    ),
    (
        "employee",
        r#"CREATE TABLE "employee" (
  "employee_id" int NOT NULL PRIMARY KEY,
  "firstname" varchar(100) NOT NULL,
  "lastname" varchar(100) NOT NULL,
  "street" varchar(100) NOT NULL,
  "city" varchar(100) NOT NULL,
  "zip" smallint NOT NULL,
  "country" varchar(100) NOT NULL,
  "salary" decimal(8,2) NOT NULL,
  "department" varchar(20) NOT NULL
    CHECK ("department" IN ('Marketing', 'Accounting', 'Management', 'Logistics', 'Airfield')),
  "username" varchar(20) NOT NULL UNIQUE,
  "password" char(32) NOT NULL
)"#,
    ),
    (
        "weatherdata",
        r#"CREATE TABLE "weatherdata" (
  "log_date" date NOT NULL,
  "time" time NOT NULL,
  "station" int NOT NULL,
  "temp" decimal(3,1) NOT NULL,
  "humidity" decimal(4,1) NOT NULL,
  "airpressure" decimal(10,2) NOT NULL,
  "wind" decimal(5,2) NOT NULL,
  "weather" varchar(30) CHECK ("weather" IN ('fog', 'rain', 'snow', 'hail', 'thunderstorm', 'fog and rain',
    'fog and snow', 'rain and snow', 'rain and thunderstorm')),
  "winddirection" smallint NOT NULL,
  PRIMARY KEY ("log_date", "time", "station")
)"#,
    ),
];
