# SPDX-License-Identifier: Apache-2.0
#
# The demo's backend: an ordinary Rails API, as one finds it. Rows come from
# SQLite through Active Record, `rails new --api` sets the middleware, and
# nothing in here knows about caching: the Cache-Control and ETag fields of its
# answers are what Rails sends on its own. It is slow only by what it does: it
# counts and sorts 10,000 rows without an index and asks for the supplier of
# each row of a page one by one (the N+1 queries of many an old application).
# The call log waits half a second for another system, and names its next page;
# so do the call log's summary and the offers, which are another system's too
# (a file here: without it, that system is down). The shop's front page has
# marks of Edge Side Includes where its fragments go.
#
# DEMO_STATE names a folder for the database and the log.
require "rails"
require "active_record/railtie"
require "action_controller/railtie"

STATE = ENV.fetch("DEMO_STATE")
ENV["DATABASE_URL"] = "sqlite3:#{STATE}/shop.sqlite3?pool=16&timeout=5000"

# Not part of the application: counts what reaches it, so that the demo can
# say how many requests the backend had. GET /up/count reads the count.
class RequestCounter
  def initialize(app)
    @app = app
    @count = 0
    @lock = Mutex.new
  end

  def call(env)
    return [200, { "Content-Type" => "text/plain" }, ["#{@count}\n"]] if env["PATH_INFO"] == "/up/count"

    @lock.synchronize { @count += 1 }
    @app.call(env)
  end
end

class Shop < Rails::Application
  config.load_defaults 6.1
  config.api_only = true
  config.eager_load = true
  config.root = STATE
  config.secret_key_base = SecureRandom.hex(32)
  config.hosts.clear
  config.logger = ActiveSupport::Logger.new(File.join(STATE, "rails.log"))
  config.log_level = :info
  config.middleware.insert_before 0, RequestCounter
  routes.append do
    scope "/api" do
      resources :products, only: [:index, :show, :create, :update]
      post "products/:id", to: "products#update"
      get "calls", to: "calls#index"
      get "summary", to: "calls#summary"
      get "offers", to: "offers#index"
    end
    scope "/shop" do
      get "/", to: "shop#index"
      get "offers", to: "shop#offers"
      get "product", to: "shop#product"
    end
  end
end

class Supplier < ActiveRecord::Base
end

class Product < ActiveRecord::Base
  belongs_to :supplier
  validates :name, :sku, presence: true
  validates :price_cents, numericality: { only_integer: true, greater_than: 0 }

  PAGE = 100

  def to_row
    { id: id, sku: sku, name: name, price_cents: price_cents,
      supplier: supplier.name, description: description,
      updated_at: updated_at.iso8601(6) }
  end
end

class ProductsController < ActionController::API
  wrap_parameters false
  rescue_from(ActiveRecord::RecordNotFound) { head :not_found }

  def index
    page = [params.fetch(:page, 1).to_i, 1].max
    count = Product.count
    products = Product.order(:name, :id)
                      .offset((page - 1) * Product::PAGE).limit(Product::PAGE)
    render json: { page: page, num_pages: (count + Product::PAGE - 1) / Product::PAGE,
                   count: count, products: products.map(&:to_row) }
  end

  def show
    render json: Product.find(params[:id]).to_row
  end

  def create
    product = Product.new({ supplier: Supplier.first }.merge(fields.to_h))
    return render(json: product.errors, status: :unprocessable_entity) unless product.save

    render json: product.to_row, status: :created,
           location: "/api/products/#{product.id}"
  end

  def update
    product = Product.find(params[:id])
    return render(json: product.errors, status: :unprocessable_entity) unless product.update(fields)

    render json: product.to_row
  end

  private

  def fields
    params.permit(:name, :sku, :price_cents, :description)
  end
end

class CallsController < ActionController::API
  PAGE = 200
  PAGES = 50

  def index
    sleep 0.5 # the telephone exchange
    page = [params.fetch(:page, 1).to_i, 1].max
    response.headers["Link"] = "</api/calls?page=#{page + 1}>; rel=next" if page < PAGES
    render json: { page: page, asked_at: Time.now.utc.iso8601(6), calls: calls(page) }
  end

  def summary
    sleep 0.5
    render json: { calls: PAGE * PAGES, newest: calls(1).first }
  end

  private

  def calls(page)
    chance = Random.new(page)
    Array.new(PAGE) do |row|
      began = Time.utc(2024, 6, 1) - (page * PAGE + row) * 97
      { id: format("CA%016x", chance.rand(2**64)), from: "+4930#{chance.rand(10**7)}",
        to: "+4989#{chance.rand(10**7)}", status: %w[completed busy no-answer][chance.rand(3)],
        start_time: began.iso8601, duration: chance.rand(600), price: format("-%.5f", chance.rand / 10),
        price_unit: "EUR" }
    end
  end
end

class OffersController < ActionController::API
  FILE = File.join(STATE, "offers.json")

  def index
    sleep 0.5
    render json: File.read(FILE)
  end
end

class ShopController < ActionController::API
  def index
    response.headers["Surrogate-Control"] = 'content="ESI/1.0"'
    html <<~HTML
      <!DOCTYPE html>
      <title>Shop</title>
      <h1>A product</h1>
      <esi:include src="/shop/product?id=1"/>
      <h1>Offers</h1>
      <esi:include src="/shop/offers" onerror="continue"/>
      <esi:remove><p>No fragments here.</p></esi:remove>
    HTML
  end

  def product
    row = Product.find(params[:id])
    html "<p>#{ERB::Util.html_escape(row.name)}: #{row.price_cents} cents</p>\n"
  end

  def offers
    names = JSON.parse(File.read(OffersController::FILE)).map { |offer| offer["name"] }
    html "<ul>#{names.map { |name| "<li>#{ERB::Util.html_escape(name)}</li>" }.join}</ul>\n"
  end

  private

  def html(text)
    render plain: text, content_type: "text/html"
  end
end

# The database, at the first start.
def seed
  File.write(OffersController::FILE, [{ name: "Lamp 00003", off: 20 }].to_json)
  ActiveRecord::Schema.verbose = false
  ActiveRecord::Schema.define do
    create_table(:suppliers) { |t| t.string :name, null: false }
    create_table :products do |t|
      t.string :name, null: false
      t.string :sku, null: false
      t.integer :price_cents, null: false
      t.text :description
      t.references :supplier, index: false
      t.datetime :updated_at, precision: 6, null: false
    end
  end
  Supplier.insert_all!((1..40).map { |i| { name: "Supplier #{i}" } })
  kinds = %w[Shelf Table Chair Lamp Rug Mirror Drawer Cabinet]
  woods = %w[oak ash beech walnut cherry pine]
  start = Time.utc(2024, 1, 1)
  (1..10_000).each_slice(1_000) do |slice|
    Product.insert_all!(slice.map do |i|
      kind, wood = kinds[i % 8], woods[i % 6]
      { name: format("%s %05d", kind, i), sku: format("SKU-%06d", i),
        price_cents: 990 + i * 7 % 90_000, supplier_id: 1 + i % 40,
        description: "#{kind} in #{wood}, number #{i} of the catalogue, made to order.",
        updated_at: start + i * 3_600 }
    end)
  end
end

Shop.initialize!
seed unless ActiveRecord::Base.connection.table_exists?(:products)
run Shop
